"""What a log line may not show: people's addresses, and the fields that hold secrets or content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

DENIED_KEYS: Final = frozenset(
    {
        "authorization",
        "api_key",
        "secret",
        "secret_key",
        "secrets",
        "token",
        "password",
        "credentials",
        "body",
        "text",
        "html",
        "variables",
    }
)
ADDRESS_KEYS: Final = frozenset({"address", "email", "phone", "phone_number", "to", "recipient"})

_EMAIL: Final = re.compile(r"[^\s@<>\"'(),;:=*/\\\[\]{}]+@[^\s@<>\"'(),;:=*/\\\[\]{}]+\.[^\W\d_]{2,}")
_PHONE: Final = re.compile(r"(?<![\w+])\+\d{7,15}(?!\d)")
_DEPTH: Final = 6


def mask_address(text: str) -> str:
    """Return `text`, one address, with what identifies its owner replaced by `***`.

    An email address keeps its first character and its domain; anything else keeps its first three and last two
    characters where it is long enough for that to hide at least half.
    """
    local, separator, domain = text.rpartition("@")
    if separator:
        return f"{local[:1]}***@{domain}"
    return f"{text[:3]}***{text[-2:]}" if len(text) >= 10 else f"{text[:1]}***"


def mask_addresses_in(text: str) -> str:
    """Return `text` with every email address and every E.164 number in it masked."""
    if "@" in text:
        text = _EMAIL.sub(lambda match: mask_address(match[0]), text)
    if "+" in text:
        text = _PHONE.sub(lambda match: mask_address(match[0]), text)
    return text


def redact(fields: Mapping[str, Any], depth: int = _DEPTH) -> dict[str, Any]:
    """Return `fields` without denied keys and with addresses masked, in nested values too."""
    clean = {}
    for key, value in fields.items():
        if key in DENIED_KEYS:
            continue
        if key in ADDRESS_KEYS and type(value) is str:
            clean[key] = mask_address(value) if "***" not in value else value
        else:
            clean[key] = _redact_value(value, depth)
    return clean


def _redact_value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return mask_addresses_in(value)
    if value is None or isinstance(value, int | float):
        return value
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return redact({str(key): item for key, item in value.items()}, depth - 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(item, depth - 1) for item in value]
    return mask_addresses_in(str(value))
