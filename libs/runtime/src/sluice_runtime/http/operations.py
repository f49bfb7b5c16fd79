"""HTTP operations, declared once: routing, authorisation, validation and the OpenAPI document read the declaration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Final, Protocol, Union, get_args, get_origin

from aiohttp import web
from pydantic import BaseModel, ValidationError

from sluice_runtime.http.bodies import DEFAULT_BODY_LIMIT, read_body
from sluice_runtime.http.doors import DOORS, Door
from sluice_runtime.http.exchange import EXCHANGE
from sluice_runtime.http.principal import NOBODY, Principal, require_scope
from sluice_runtime.http.problems import Problem, invalid
from sluice_runtime.http.validation import field_errors, refuse_nul

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_REPEATABLE: Final = frozenset({"POST", "PATCH"})
_CHALLENGE: Final = 'ApiKey realm="sluice", Bearer realm="sluice", Basic realm="sluice"'
_MAYBE_JSON: Final = frozenset({"", "application/json", "text/json", "text/plain", "application/octet-stream"})


@dataclass(slots=True, eq=False)
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
    `extra="forbid"`), `answers` the models by status, `body_limit` is in bytes, `aliases` are further paths. `cost`
    says what a valid call costs of the caller's rate (None is 1), `door` whose words are spoken where not ours.
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
    cost: Callable[[Call], int] | None = None
    door: Door | None = None


Authenticate = Callable[[web.Request], Awaitable[Principal]]
Answerer = Callable[[], Awaitable[web.StreamResponse]]


class Guarding(Protocol):
    """What calls of operations that are not public pass once it is known who calls: `sluice_runtime.http.guard`."""

    def charge(self, request: web.Request, principal: Principal, cost: int, *, returned: int = 0) -> None:
        """Take `cost` of the caller's rate after giving back `returned`. Raises Problem 429 with Retry-After."""
        ...

    async def once(
        self, operation: Operation, request: web.Request, principal: Principal, raw: bytes, answer: Answerer
    ) -> web.StreamResponse:
        """Return what `answer` returns, or what it returned to the same request with the same idempotency key.

        Raises Problem: 400, 409 or 422 where the key cannot be used so; whatever `answer` raises.
        """
        ...


def add_operations(
    app: web.Application,
    operations: Iterable[Operation],
    authenticate: Authenticate,
    guard: Guarding | None = None,
) -> None:
    """Route `operations` in `app`. `authenticate` returns who calls, or raises Problem 401."""
    doors = app.setdefault(DOORS, {})
    for operation in operations:
        if operation.door is not None:
            doors[operation.door.name] = operation.door
        handler = _handler(operation, authenticate, guard)
        for path in (operation.path, *operation.aliases):
            app.router.add_route(operation.method, path, handler)
            if operation.method == "GET":
                app.router.add_route("HEAD", path, handler)


def items_held(call: Call) -> int:
    """Return how many items the one list in the body of a bulk call holds: what such a call costs."""
    return max((len(value) for _, value in call.body or () if isinstance(value, list)), default=1)


def _handler(
    operation: Operation, authenticate: Authenticate, guard: Guarding | None
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    door, scope, model, cost = operation.door, operation.scope, operation.body, operation.cost
    if door is not None and door.authenticate is not None:
        authenticate = door.authenticate
    if scope is None:
        guard = None
    repeats = operation.method in _REPEATABLE and guard is not None
    read_query = _query_reader(operation.query)

    async def answer(request: web.Request, principal: Principal, raw: bytes) -> web.StreamResponse:
        if "%00" in request.raw_path:
            raise invalid([{"field": "", "message": "the URL must not hold the NUL character"}])
        body = None if model is None else _validated(model, raw or b"{}", request)
        call = Call(request, principal, body, read_query(request), raw)
        if cost is not None and guard is not None:
            guard.charge(request, principal, cost(call), returned=1)
        return await operation.handler(call)

    async def handle(request: web.Request) -> web.StreamResponse:
        if door is not None:
            request[EXCHANGE].door = door
        principal = NOBODY
        if scope is not None:
            principal = await _authenticated(request, authenticate)
            if guard is not None:
                guard.charge(request, principal, 1)
            require_scope(principal, scope)
        raw = b"" if model is None else await read_body(request, operation.body_limit)
        if repeats and guard is not None and IDEMPOTENCY_KEY in request.headers:
            return await guard.once(operation, request, principal, raw, lambda: answer(request, principal, raw))
        return await answer(request, principal, raw)

    return handle


async def _authenticated(request: web.Request, authenticate: Authenticate) -> Principal:
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
