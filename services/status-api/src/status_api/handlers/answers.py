"""Answering reads: entity tags, so that a dashboard that polls gets 304 until something has moved."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from sluice_runtime.http.bodies import encode_json
from sluice_runtime.http.operations import Call
from sluice_runtime.http.problems import Problem, not_found

UNMASKED_SCOPE: Final = "pii:read"

_FORM: Final = 2
"""Counts the changes of what bodies look like: a new form of old content must not be taken for the old one."""


def sees_addresses(call: Call) -> bool:
    """Whether the caller gets addresses in full."""
    return call.principal.may(UNMASKED_SCOPE)


def version_tag(call: Call, version: int) -> str:
    """Return the entity tag of a body that depends on a trigger's version and on what its reader may see."""
    return f'"{_FORM}-{version}-{"full" if sees_addresses(call) else "masked"}"'


def holds_a_copy(call: Call) -> bool:
    """Whether the caller holds any body of this kind, so that it may be enough to say that it is still good."""
    return "If-None-Match" in call.request.headers


def is_known(call: Call, tag: str) -> bool:
    """Whether the caller holds the body that `tag` names, by `If-None-Match`."""
    given = call.request.headers.get("If-None-Match")
    if given is None:
        return False
    known = {entry.strip().removeprefix("W/") for entry in given.split(",")}
    return tag in known or "*" in known


def unchanged(tag: str) -> web.Response:
    """Return the answer that says that the caller's copy is good."""
    return web.Response(status=304, headers=_headers(tag))


def tagged(body: Mapping[str, Any], tag: str) -> web.Response:
    """Return `body` under `tag`."""
    return web.Response(body=encode_json(body), content_type="application/json", headers=_headers(tag))


def tagged_by_content(call: Call, body: Mapping[str, Any]) -> web.Response:
    """Return `body` under a tag made of its bytes, or 304: for lists, which have no version of their own."""
    content = encode_json(body)
    tag = f'"{blake2b(content, digest_size=16).hexdigest()}"'
    if is_known(call, tag):
        return unchanged(tag)
    return web.Response(body=content, content_type="application/json", headers=_headers(tag))


def _headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": "private, no-cache"}


def path_id(call: Call, name: str, what: str) -> UUID:
    """Return the id in the path.

    Raises Problem 404 where it is none: then there is no such thing.
    """
    text = call.request.match_info[name]
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found(what) from error


def bad_cursor() -> Problem:
    """Return the problem of a cursor that this list has not given out."""
    return Problem(
        422,
        "Invalid request",
        "The request has fields that are missing or wrong.",
        [{"field": "cursor", "message": "is not a cursor of this list"}],
    )
