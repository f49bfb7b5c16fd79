"""SMS as the worker needs it: E.164 numbers, one text, and the parts that it travels in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluice_catalog.templating import CompiledTemplate, parse
from sluice_channel.channels import ColumnarContent, Envelope
from sluice_channel.provider import RenderedMessage, SmsMessage
from sluice_channel.segmentation import measure
from sluice_contracts.vocabulary import Channel

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")


class SmsContent(ColumnarContent):
    """A compiled text."""

    def __init__(self, text: CompiledTemplate) -> None:
        self._text = text

    def render(self, values: Mapping[str, Any]) -> SmsMessage:
        return _message(self._text.render(values))

    def render_columns(
        self, fields: Mapping[str, Sequence[Any]], variables: Mapping[str, Any]
    ) -> list[SmsMessage | None] | None:
        texts = self._text.render_columns(fields, variables)
        return None if texts is None else [None if text is None else _message(text) for text in texts]


class SmsChannel:
    """The channel SMS."""

    channel = Channel.SMS

    def is_address(self, address: str) -> bool:
        return _E164.fullmatch(address) is not None

    def compile(self, content: Mapping[str, Any]) -> SmsContent:
        return SmsContent(parse(content["text"], escape_html=False))

    def address_to(self, message: RenderedMessage, envelope: Envelope) -> RenderedMessage:
        """A text is the same whoever gets it."""
        return message

    def segments(self, message: RenderedMessage) -> int | None:
        return message.segments if isinstance(message, SmsMessage) else None


def _message(text: str) -> SmsMessage:
    return SmsMessage(text, *measure(text))
