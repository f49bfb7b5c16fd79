"""What a payload may be: 512 KB, attachments apart, and what its workflow's schema allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from ingest.doors.novu import schemas
from sluice_catalog.refereeing.referee import REFEREE, TooMuchError
from sluice_runtime.http.novu import wrong_payload

MOST_BYTES: Final = 512 * 1024
MOST_SCHEMA_BYTES: Final = 64 * 1024
ATTACHMENTS: Final = "attachments"
_UNSUPPORTED: Final = ("$ref", "patternProperties")
_MOST_INLINE_BYTES: Final = 4 * 1024
_MOST_INLINE_WORK: Final = 1024 * 1024
"""Bytes of a payload times bytes of its schema, each part of which may be compared with each of the other."""


class UnusableSchema(ValueError):  # noqa: N818 - a finding about what somebody wrote
    """It is no JSON schema, or it uses what we do not follow."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Return if payloads can be validated by `schema`. Raises UnusableSchema."""
    source = orjson.dumps(schema)
    if len(source) > MOST_SCHEMA_BYTES:
        raise UnusableSchema(f"a schema has at most {MOST_SCHEMA_BYTES // 1024} kB")
    used = next((word for word in _keys(schema) if word in _UNSUPPORTED), None)
    if used is not None:
        raise UnusableSchema(f"{used} is not supported")
    try:
        fault = schemas.fault(schema) if len(source) <= _MOST_INLINE_BYTES else _asked("fault", source, schema=schema)
    except TooMuchError as error:
        raise UnusableSchema(str(error)) from error
    if fault is not None:
        raise UnusableSchema(fault)


def without_attachments(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload without the files that it carries."""
    return {name: value for name, value in payload.items() if name != ATTACHMENTS}


def oversize(payload: Mapping[str, Any]) -> int | None:
    """Return the bytes of a payload that is too large, None of one that is not."""
    size = len(orjson.dumps(without_attachments(payload)))
    return size if size > MOST_BYTES else None


def too_large(subject: str, size: int) -> str:
    """Return what is to be said of a payload that is too large; `subject` ends in "payload"."""
    return (
        f"{subject} size ({size} bytes) exceeds maximum allowed size of {MOST_BYTES} bytes (512KB). "
        "Note: Attachments are excluded from this limit."
    )


def validated(payload: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the payload with the schema's defaults where it says nothing.

    Raises Problem 400 naming every field that is wrong.
    """
    whole = _with_defaults(payload, schema)
    source, size = orjson.dumps(schema), len(orjson.dumps(whole))
    try:
        if size <= _MOST_INLINE_BYTES and size * len(source) <= _MOST_INLINE_WORK:
            found = schemas.misfits(whole, schema)
        else:
            found = _asked("misfits", source, payload=whole, schema=schema)
    except TooMuchError as error:
        found = [{"field": "payload", "message": f"cannot be validated: {error}"}]
    if found:
        raise wrong_payload(found, schema)
    return whole


def _asked(function: str, source: bytes, **arguments: Any) -> Any:
    return REFEREE.ask(f"{schemas.__name__}:{function}", source.decode(), arguments)


def _with_defaults(payload: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    whole = dict(payload)
    if not isinstance(properties, dict):
        return whole
    for name, below in properties.items():
        if not isinstance(below, dict):
            continue
        if name not in whole and "default" in below:
            whole[name] = below["default"]
        elif isinstance(whole.get(name), dict):
            whole[name] = _with_defaults(whole[name], below)
    return whole


def _keys(schema: Any) -> Iterator[str]:
    ahead = [schema]
    while ahead:
        here = ahead.pop()
        if isinstance(here, dict):
            yield from here
            ahead.extend(here.values())
        elif isinstance(here, list):
            ahead.extend(here)
