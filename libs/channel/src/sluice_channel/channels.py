"""What is special to a channel: its addresses, how its content is rendered, and how it is counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sluice_channel.provider import RenderedMessage
from sluice_contracts.messages.content import Sender
from sluice_contracts.vocabulary import Category, Channel


class Envelope(NamedTuple):
    """What a rendered message still needs to know of its one recipient and of the request."""

    reference: str
    category: Category
    sender: Sender


class CompiledContent(Protocol):
    """The content of one variant, compiled once and rendered for many."""

    def render(self, values: Mapping[str, Any]) -> RenderedMessage:
        """Return the message for these values, before anything is added for its one recipient.

        Raises `templating.TemplateProblem`.
        """
        ...


class ColumnarContent(ABC):
    """A compiled content that can be rendered for many at once."""

    @abstractmethod
    def render(self, values: Mapping[str, Any]) -> RenderedMessage:
        """Return the message for these values, as every compiled content does."""

    @abstractmethod
    def render_columns(
        self, fields: Mapping[str, Sequence[Any]], variables: Mapping[str, Any]
    ) -> Sequence[RenderedMessage | None] | None:
        """Return the message of each contact, whose values by path are the rows of `fields`.

        None for one that has to be rendered by itself; None altogether where all have to be.
        """


class ChannelKind(Protocol):
    """One channel, as the worker needs it."""

    channel: Channel

    def is_address(self, address: str) -> bool:
        """Say whether `address` has the normalised form of this channel's addresses."""
        ...

    def compile(self, content: Mapping[str, Any]) -> CompiledContent:
        """Compile a variant's or an inline content's parts.

        Raises `templating.TemplateProblem` when they are no templates.
        """
        ...

    def address_to(self, message: RenderedMessage, envelope: Envelope) -> RenderedMessage:
        """Return the message with what only its one recipient gets: tracked links, unsubscribe headers."""
        ...

    def segments(self, message: RenderedMessage) -> int | None:
        """Return how many parts are paid for, None where the channel has no parts."""
        ...
