"""HTTP operations, declared once: routing, authorisation, validation and the OpenAPI document read the declaration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ValidationError

from sluice_runtime.http import DEFAULT_BODY_LIMIT, read_body
from sluice_runtime.problems import Problem, invalid
from sluice_runtime.validation import field_errors, refuse_nul

ADMIN: Final = "admin"
_CHALLENGE: Final = 'ApiKey realm="sluice", Bearer realm="sluice", Basic realm="sluice"'
_MAYBE_JSON: Final = frozenset({"", "application/json", "text/json", "text/plain", "application/octet-stream"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, as their credential says."""

    workspace_id: UUID
    key_id: UUID
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the credential has `scope`; `admin` has them all."""
        return scope in self.scopes or ADMIN in self.scopes


NOBODY: Final = Principal(UUID(int=0), UUID(int=0), frozenset())
"""The principal of public operations: owns nothing and may do nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One authorised and valid request.

    `body` and `query` are instances of the operation's models (None where it has none), `raw` the body as it came.
    """

    request: web.Request
    principal: Principal = NOBODY
    body: Any = None
    query: Any = None
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that callers can ask for.

    `path` may hold `{placeholders}`, `name` is the operationId, `scope` what a credential needs (None makes the
    operation public), `body` the model of the JSON body, `query` that of the query string (both best with
    `extra="forbid"`), `answers` the models by status, `body_limit` is in bytes, `aliases` are further paths.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    handler: Callable[[Call], Awaitable[web.StreamResponse]]
    scope: str | None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)
    body_limit: int = DEFAULT_BODY_LIMIT
    aliases: Sequence[str] = ()


def add_operations(
    app: web.Application,
    operations: Iterable[Operation],
    authenticate: Callable[[web.Request], Awaitable[Principal]],
) -> None:
    """Route `operations` in `app`. `authenticate` returns who calls, or raises Problem 401."""
    for operation in operations:
        handler = _handler(operation, authenticate)
        for path in (operation.path, *operation.aliases):
            app.router.add_route(operation.method, path, handler)
            if operation.method == "GET":
                app.router.add_route("HEAD", path, handler)


def require_scope(principal: Principal, scope: str) -> None:
    """Return if `principal` has `scope`.

    Raises Problem 403.
    """
    if not principal.may(scope):
        raise Problem(403, "Missing scope", f"The credential needs the scope {scope}.")


def _handler(
    operation: Operation, authenticate: Callable[[web.Request], Awaitable[Principal]]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    read_query = _query_reader(operation.query)

    async def handle(request: web.Request) -> web.StreamResponse:
        principal = NOBODY
        if operation.scope is not None:
            principal = await _authenticated(request, authenticate)
            require_scope(principal, operation.scope)
        if "%00" in request.raw_path:
            raise invalid([{"field": "", "message": "the URL must not hold the NUL character"}])
        query = read_query(request)
        if operation.body is None:
            return await operation.handler(Call(request, principal, None, query))
        raw = await read_body(request, operation.body_limit)
        body = _validated(operation.body, raw or b"{}", request)
        return await operation.handler(Call(request, principal, body, query, raw))

    return handle


async def _authenticated(
    request: web.Request, authenticate: Callable[[web.Request], Awaitable[Principal]]
) -> Principal:
    try:
        return await authenticate(request)
    except Problem as problem:
        if problem.status == 401:
            problem.headers.setdefault("WWW-Authenticate", _CHALLENGE)
        raise


def _validated(model: type[BaseModel], raw: bytes, request: web.Request) -> BaseModel:
    try:
        body = model.model_validate_json(raw)
    except ValidationError as error:
        if _is_clearly_not_json(request.content_type, raw):
            raise Problem(415, detail="Send the body as application/json.") from error
        raise invalid(field_errors(error, raw)) from error
    refuse_nul(raw)
    return body


def _is_clearly_not_json(content_type: str, raw: bytes) -> bool:
    looks_like_json = raw.lstrip()[:1] in {b"{", b"["}
    return not looks_like_json and content_type not in _MAYBE_JSON and not content_type.endswith("+json")


def _query_reader(model: type[BaseModel] | None) -> Callable[[web.Request], BaseModel | None]:
    if model is None:
        return lambda request: None
    lists = {info.alias or name for name, info in model.model_fields.items() if _is_list(info.annotation)}

    def read(request: web.Request) -> BaseModel:
        given = request.query
        values = {key: given.getall(key) if key in lists else given[key] for key in given}
        try:
            return model.model_validate(values)
        except ValidationError as error:
            raise invalid(field_errors(error, values)) from error

    return read


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in {Union, UnionType}:
        return any(_is_list(argument) for argument in get_args(annotation))
    return annotation is list or origin is list
