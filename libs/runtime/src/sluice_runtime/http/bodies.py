"""JSON bodies, in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson
from aiohttp import web
from pydantic import BaseModel
from pydantic_core import from_json

from sluice_contracts.base import format_instant
from sluice_runtime.http.answers import WholeAnswer
from sluice_runtime.http.problems import Problem, invalid
from sluice_runtime.http.validation import refuse_nul

DEFAULT_BODY_LIMIT: Final = 512 * 1024
_JSON: Final = {"Content-Type": "application/json"}


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return `data` (a model, or whatever JSON can hold) as JSON; times become ISO 8601 with milliseconds and `Z`."""
    return WholeAnswer(status, encode_json(data), {**headers, **_JSON} if headers else _JSON)


def encode_json(data: Any) -> bytes:
    """Return the JSON bytes of `data`."""
    if isinstance(data, BaseModel):
        return data.model_dump_json().encode()
    try:
        return orjson.dumps(data, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # orjson knows no integers beyond 64 bits, which callers may well have put into a variable.
        return json.dumps(data, default=_plain, separators=(",", ":")).encode()


async def read_body(request: web.Request, limit: int = DEFAULT_BODY_LIMIT) -> bytes:
    """Return the raw body.

    Raises Problem 413 when it is longer than `limit` bytes, after decompression too.
    """
    content = request.content
    chunks: list[bytes] = []
    size = 0
    try:
        if content.is_eof() and content.total_bytes <= limit:
            # It came with its headers, as small ones do.
            return content.read_nowait()
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        while chunk := await content.readany():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except (web.RequestPayloadError, web.HTTPException) as error:
        raise Problem(400, "Unreadable body", "The body could not be decoded.") from error
    return b"".join(chunks)


async def read_json(request: web.Request, limit: int = DEFAULT_BODY_LIMIT) -> Any:
    """Return the parsed JSON body.

    Raises Problem: 413 over `limit` bytes; 422 when it is not JSON or holds a NUL character.
    """
    raw = await read_body(request, limit)
    try:
        data = from_json(raw)
    except ValueError as error:
        raise invalid([{"field": "", "message": f"Invalid JSON: {error}"}]) from error
    refuse_nul(raw)
    return data


def _too_large(limit: int) -> Problem:
    return Problem(413, "Too large", f"A body may have at most {limit} bytes.")


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return format_instant(value)
        case BaseModel():
            return value.model_dump(mode="json")
        case Decimal():
            return float(value)
        case set() | frozenset():
            return sorted(value)
        case _:
            return str(value)
