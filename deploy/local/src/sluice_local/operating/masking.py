"""Messages as an operator may look at them: whole, but without what says whom they are for."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from sluice_contracts.messages.receipt import CallbackReceived
from sluice_runtime.redaction import mask_address, mask_addresses_in

_ADDRESS_FIELDS: Final = frozenset(
    {
        "address", "addresses", "email", "phone", "phone_number", "to", "from", "recipient", "recipients",
        "recipient_id", "wa_id", "contact_phone", "destination", "mailbox",
    }
)  # fmt: skip
_PERSONAL_FIELDS: Final = frozenset({"first_name", "last_name", "profilename"})
_COLUMNS_OF_CONTACTS: Final = "fields"
"""In a command: whatever of its contacts the content refers to."""

_TELEPHONE: Final = re.compile(r"(?:whatsapp:)?\+?[0-9][0-9 ()./-]{7,18}")

_BARE_NUMBER: Final = re.compile(r"(?<![\w.:-])\d{10,15}(?![\w.:-])")
"""A telephone number without its plus; what is part of an id or a time is none."""


def masked(value: Any, field: str = "") -> Any:
    """Return the JSON `value` of `field` with addresses and names masked; the body of a callback is opened first."""
    match value:
        case {"type": CallbackReceived.TYPE, "body": str(body)}:
            return {**_masked_object(value), "body": masked(opened(body))}
        case dict() if field == _COLUMNS_OF_CONTACTS:
            return {name: [_initial(item) for item in _items(column)] for name, column in value.items()}
        case dict():
            return _masked_object(value)
        case list():
            return [masked(item, field) for item in value]
        case str():
            return _masked_text(value, field.lower())
        case _:
            return value


def masked_text(text: str) -> str:
    """Return `text`, which is no JSON, with every address in it masked."""
    return _BARE_NUMBER.sub(lambda match: mask_address(match[0]), mask_addresses_in(text))


def opened(body: str) -> Any:
    """Return what the raw body of a callback (base64) says: its JSON, its form fields, or its text."""
    try:
        raw = base64.b64decode(body, validate=True)
        text = raw.decode()
    except (binascii.Error, UnicodeDecodeError):
        return f"({len(body)} characters that are no text in base64)"
    try:
        return json.loads(text)
    except ValueError:
        form = dict(parse_qsl(text, keep_blank_values=True))
        return form or text


def _masked_object(value: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): masked(item, str(name)) for name, item in value.items()}


def _masked_text(text: str, field: str) -> str | None:
    if field in _ADDRESS_FIELDS:
        return mask_address(text)
    if field in _PERSONAL_FIELDS:
        return _initial(text)
    if _TELEPHONE.fullmatch(text):
        return mask_address(text)
    return masked_text(text)


def _initial(value: Any) -> str | None:
    return None if value is None else f"{value[:1]}***" if isinstance(value, str) else "***"


def _items(column: Any) -> list[Any]:
    return column if isinstance(column, list) else [column]
