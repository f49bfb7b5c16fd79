"""The sends of one call, most of which say the same but for whom they are for: that is decided and written once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, Final

from ingest.domain.acceptance import Acceptance, Circumstances, accept_send, common_of_send, only_job, own_of_send
from ingest.domain.bodies import SendItem
from ingest.domain.definitions_view import DefinitionsView
from ingest.domain.recipients import recipients_of
from sluice_contracts.base import Form
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_contracts.vocabulary import Channel, Lane

_OWN: Final = frozenset(
    {
        *("contact_external_id", "contact_external_ids", "tags", "segment_id", "list_id", "excluded_contacts"),
        *("direct_sms", "direct_email", "direct_whatsapp", "direct_first_name", "direct_last_name"),
        *("variables", "metadata"),
    }
)
"""The fields of a body on which nothing depends but `recipients_of` and `own_of_send`."""

_LEFT_OPEN: Final = frozenset({"trigger_id", "recipients", "excluded_contacts", "variables", "metadata"})
"""What those make of a trigger, and its id."""

_CHANNELS: Final[dict[str, Channel]] = {channel.value: channel for channel in Channel}


@dataclass(slots=True, eq=False)
class _Settled:
    """What is known of all sends of a kind."""

    channel: Channel
    lane: Lane
    form: Form


class Series:
    """Accepts sends of one workspace and one moment, each as `accept_send` would.

    Sends are of one kind when all that they say for themselves is in fields of their own. A kind is settled when it
    comes for the second time: of most texts that come with a request there is no second.
    """

    def __init__(self, definitions: DefinitionsView) -> None:
        self._definitions = definitions
        self._kinds: dict[tuple[Any, ...], _Settled | None] = {}

    def accept(self, body: SendItem, circumstances: Circumstances) -> Acceptance:
        """Return the trigger for `body`. Raises RefusedError as `accept_send` does."""
        kind = _kind_of(type(body))(vars(body))
        try:
            seen = kind in self._kinds
        except TypeError:
            # The components of a WhatsApp template are a list, which no table finds.
            return accept_send(body, _CHANNELS[body.channel], circumstances, self._definitions)
        if not seen:
            acceptance = accept_send(body, _CHANNELS[body.channel], circumstances, self._definitions)
            self._kinds[kind] = None
            return acceptance
        recipients = recipients_of(body, circumstances.workspace_id, self._definitions)
        settled = self._kinds[kind]
        if settled is None:
            channel = _CHANNELS[body.channel]
            common = common_of_send(body, channel, circumstances, recipients, self._definitions)
            settled = _Settled(channel, common["lane"], TriggerAccepted.form(_LEFT_OPEN, **common))
            self._kinds[kind] = settled
        trigger_id = str(circumstances.trigger_id)
        value = settled.form.filled(trigger_id=trigger_id, **own_of_send(body, settled.channel, recipients))
        return Acceptance(
            trigger_id, settled.lane, value, only_job(circumstances.trigger_id, settled.channel, recipients)
        )


@cache
def _kind_of(item: type[SendItem]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """Return what reads from the fields of an item all that are not its own."""
    return itemgetter(*(name for name in item.model_fields if name not in _OWN))
