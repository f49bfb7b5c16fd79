"""Whom a request is for: exactly the field that its `recipient_type` needs, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from uuid import UUID

from ingest.domain.bodies import CommonFields, RecipientType
from ingest.domain.definitions_view import DefinitionsView
from ingest.domain.refusal import RefusedError, WrongField
from sluice_contracts.base import JsonObject, Part
from sluice_contracts.messages.trigger import (
    AddressRecipients,
    AllRecipients,
    ContactRecipients,
    ListRecipients,
    SegmentRecipients,
    TagRecipients,
)
from sluice_contracts.vocabulary import Channel

_NEEDED: Final = {
    RecipientType.CONTACT: "contact_external_id",
    RecipientType.CONTACTS: "contact_external_ids",
    RecipientType.TAG: "tags",
    RecipientType.SEGMENT: "segment_id",
    RecipientType.LIST: "list_id",
    RecipientType.DIRECT_SMS: "direct_sms",
    RecipientType.DIRECT_EMAIL: "direct_email",
    RecipientType.DIRECT_WHATSAPP: "direct_whatsapp",
}
_DIRECT: Final = {
    RecipientType.DIRECT_SMS: Channel.SMS,
    RecipientType.DIRECT_EMAIL: Channel.EMAIL,
    RecipientType.DIRECT_WHATSAPP: Channel.WHATSAPP,
}


@dataclass(slots=True, eq=False)
class Addressees:
    """Recipients of one `kind`, as they are `written`; `named` says how many, 0 where they have to be looked up."""

    kind: str
    written: JsonObject
    named: int


def recipients_of(body: CommonFields, workspace_id: UUID, definitions: DefinitionsView) -> Addressees:
    """Return the recipients that `body` names; contacts named twice count once.

    Raises RefusedError where the field that `recipient_type` needs is not there, another one is, or the segment or list
    does not exist. Contacts are not looked up: an unknown one is filtered later.
    """
    kind = body.recipient_type
    needed = _NEEDED.get(kind)
    known, fields = _known_fields(type(body)), vars(body)
    given = [name for name in known if fields[name] is not None]
    if given != ([] if needed is None else [needed]):
        raise RefusedError(_mismatched(kind, needed, given, known))
    return _build(kind, None if needed is None else fields[needed], workspace_id, definitions)


def _mismatched(kind: RecipientType, needed: str | None, given: list[str], known: tuple[str, ...]) -> list[WrongField]:
    if needed is not None and needed not in known:
        return [WrongField("recipient_type", f"{kind.value} is not a recipient type of this channel")]
    wrong = [WrongField(name, f"does not go with recipient_type {kind.value}") for name in given if name != needed]
    if needed is not None and needed not in given:
        wrong.insert(0, WrongField(needed, f"is needed with recipient_type {kind.value}"))
    return wrong


@cache
def _known_fields(body: type[CommonFields]) -> tuple[str, ...]:
    """Return the fields of a body that name recipients."""
    return tuple(name for name in _NEEDED.values() if name in body.model_fields)


def _build(kind: RecipientType, value: Any, workspace_id: UUID, definitions: DefinitionsView) -> Addressees:
    match kind:
        case RecipientType.CONTACT:
            return _contacts([value])
        case RecipientType.CONTACTS:
            return _contacts(list(dict.fromkeys(value)))
        case RecipientType.TAG:
            return _addressees(TagRecipients, tags=list(dict.fromkeys(value)))
        case RecipientType.SEGMENT:
            found = _existing("segment_id", "segment", value, definitions.segment(workspace_id, value))
            return _addressees(SegmentRecipients, segment_id=found)
        case RecipientType.LIST:
            found = _existing("list_id", "list", value, definitions.list(workspace_id, value))
            return _addressees(ListRecipients, list_id=found)
        case RecipientType.ALL:
            return _addressees(AllRecipients)
        case _:
            return _addressees(AddressRecipients, 1, channel=_DIRECT[kind], addresses=[value])


def _contacts(distinct: list[str]) -> Addressees:
    return Addressees("contacts", ContactRecipients.plain(external_ids=distinct), len(distinct))


def _addressees(recipients: type[Part], named: int = 0, **fields: Any) -> Addressees:
    written = recipients.plain(**fields)
    return Addressees(written["kind"], written, named)


def _existing(field: str, what: str, name: str, found: UUID | None) -> UUID:
    if found is None:
        raise RefusedError([WrongField(field, f"there is no {what} {name!r}")], missing=True)
    return found
