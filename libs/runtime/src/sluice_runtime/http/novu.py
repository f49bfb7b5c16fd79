"""How every answer of Novu's door looks: the envelope of what went well, and the bodies of what did not.

The official SDKs refuse a body that differs: an error 400 needs `type` and `errors` as a list, a 422 `errors` as an
object, every error `statusCode`, `timestamp` and `path`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from sluice_contracts.base import format_instant
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.doors import Door
from sluice_runtime.http.exchange import EXCHANGE
from sluice_runtime.http.problems import Problem

PREFIXES: Final = ("/v1/", "/v2/")
PAYLOAD_INVALID: Final = "PAYLOAD_VALIDATION_ERROR"
_KNOWN_SCHEMES: Final = frozenset({"apikey", "bearer"})
_REASONS: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    413: "Payload Too Large",
    422: "Unprocessable Entity",
}


class NovuAnswer(BaseModel):
    """What went well: `data`, and beside it only what tells where a page of a list lies."""

    model_config = ConfigDict(extra="allow")

    data: Any


class NovuError(BaseModel):
    """What went wrong. With 400 `errors` is a list, with 422 an object of messages by field."""

    model_config = ConfigDict(extra="allow")

    statusCode: int  # noqa: N815 - it is the name on the wire
    timestamp: str
    path: str
    message: str
    error: str
    ctx: dict[str, Any]


def enveloped(data: Any, status: int = 200) -> web.Response:
    """Answer `data` as the only member of the body, which is how the SDKs tell that it is to be unwrapped."""
    return json_response({"data": data}, status)


def empty() -> web.Response:
    """Answer that there is nothing to say."""
    return web.Response(status=204)


def without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value: `@novu/api` refuses null where a field may be left out."""
    return {name: value for name, value in fields.items() if value is not None}


def refused(message: str, status: int = 422) -> Problem:
    """Return a problem whose message the caller's SDK shows as it is."""
    return Problem(status, detail=message)


def wrong_payload(errors: list[dict[str, Any]], schema: dict[str, Any]) -> Problem:
    """Return the problem of a payload that its workflow's schema does not allow."""
    message = "Payload validation failed: " + "; ".join(f"{error['field']}: {error['message']}" for error in errors)
    return Problem(400, detail=message, members={"type": PAYLOAD_INVALID, "errors": errors, "schema": schema})


def rendered(problem: Problem, request: web.Request) -> web.Response:
    """Return the answer to `problem`; every member of it is also found under `ctx`."""
    context = dict(problem.members)
    match problem.status:
        case 400:
            context = {"type": "BAD_REQUEST", "errors": _listed(problem)} | context
        case 422:
            context["errors"] = _by_field(problem)
        case 500:
            context["errorId"] = request[EXCHANGE].request_id
    body = {
        "statusCode": problem.status,
        "timestamp": format_instant(datetime.now(UTC)),
        "path": request.path,
        "message": _message(problem, request),
        "error": _REASONS.get(problem.status, problem.title),
        "ctx": context,
        **context,
    }
    return json_response(body, problem.status)


def _message(problem: Problem, request: web.Request) -> str:
    match problem.status:
        case 401:
            return _credential_message(request)
        case 422 if problem.errors:
            return "Validation Error"
        case 429:
            return "API rate limit exceeded"
        case 500:
            return "Internal server error, contact support and provide them with the errorId"
        case 404 if problem.detail is None:
            return f"Cannot {request.method} {request.path}"
        case _:
            return problem.detail or problem.title


def _credential_message(request: web.Request) -> str:
    scheme, _, key = request.headers.get("Authorization", "").strip().partition(" ")
    if not scheme and "X-API-Key" not in request.headers:
        return "Missing authorization header"
    if scheme and scheme.lower() not in _KNOWN_SCHEMES:
        return f'Invalid authentication scheme: "{scheme[:40]}"'
    if scheme and not key.strip():
        return "Unauthorized"
    return "API Key not found"


def _listed(problem: Problem) -> list[dict[str, str]]:
    return [{"field": error["field"], "message": error["message"]} for error in problem.errors]


def _by_field(problem: Problem) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for error in problem.errors:
        found.setdefault(error["field"] or "general", {"messages": []})["messages"].append(error["message"])
    return found


NOVU: Final = Door("novu", rendered, PREFIXES, error=NovuError)
