"""What the doors of definitions have in common: pages, entity tags, and the words for what goes wrong."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sluice_catalog.definitions.problems import InvalidDefinition, NotThere, OutdatedRevision, TakenKey
from sluice_catalog.definitions.words import fault
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call
from sluice_runtime.http.problems import Problem, invalid, not_found
from sluice_runtime.http.validation import field_errors
from sluice_storage.errors import is_transient

BASE: Final = "/api/v1"
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"(\d{1,9})"')

Handler = Callable[[Call], Awaitable[web.StreamResponse]]
ItemT = TypeVar("ItemT")
ModelT = TypeVar("ModelT", bound=BaseModel)


class PageQuery(BaseModel):
    """Which part of a list is wanted."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before.")


class Pagination(BaseModel):
    """Where a page ends and whether another follows."""

    limit: int
    has_more: bool
    next_cursor: UUID | None


def page_response(
    found: Sequence[ItemT], limit: int, show: Callable[[ItemT], Mapping[str, Any]], key: Callable[[ItemT], UUID]
) -> web.Response:
    """Answer a page of `found`, which holds one item more than `limit` where another page follows."""
    shown = found[:limit]
    has_more = len(found) > limit
    pagination = Pagination(limit=limit, has_more=has_more, next_cursor=key(shown[-1]) if has_more else None)
    return json_response({"data": [show(item) for item in shown], "pagination": pagination.model_dump(mode="json")})


def entity_tag(revision: int) -> dict[str, str]:
    """Return the headers that tell a revision."""
    return {"ETag": f'"{revision}"'}


def expected_revision(request: web.Request) -> int | None:
    """Return the revision that `If-Match` asks for, None where it asks for none.

    Raises Problem 412 when it can be none of ours.
    """
    given = request.headers.get("If-Match", "").strip()
    if given in {"", "*"}:
        return None
    match = _ENTITY_TAG.fullmatch(given)
    if match is None:
        raise Problem(412, "Precondition failed", "If-Match is not an entity tag of ours.")
    return int(match[1])


def validated(model: type[ModelT], given: dict[str, Any]) -> ModelT:
    """Return `given` as a `model`. Raises Problem 422 naming the fields."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid(field_errors(error, given)) from error


def kind_of(field: str, kinds: Sequence[str]) -> Any:
    """Return a validator for a body that is one of several models: it names `field` where that tells none of them."""

    def check(value: Any) -> Any:
        if isinstance(value, dict) and value.get(field) not in kinds:
            raise fault((field,), f"must be one of {', '.join(kinds)}" if field in value else "Field required")
        return value

    return model_validator(mode="before")(check)


def plainly(handler: Handler) -> Handler:
    """Return the handler with everything that the catalog raises turned into a problem for the caller."""

    async def handle(call: Call) -> web.StreamResponse:
        try:
            return await handler(call)
        except NotThere as problem:
            raise not_found(problem.noun) from problem
        except TakenKey as problem:
            detail = f"Another {problem.noun} of this workspace has this {problem.field}."
            raise Problem(409, "Conflict", detail, [{"field": problem.field, "message": "is taken"}]) from problem
        except OutdatedRevision as problem:
            raise Problem(412, "Precondition failed", f"{problem}.", headers=entity_tag(problem.current)) from problem
        except InvalidDefinition as problem:
            raise invalid([{"field": fault.field, "message": fault.message} for fault in problem.faults]) from problem
        except Exception as error:
            if not is_transient(error):
                raise
            detail = "The definitions cannot be reached at the moment."
            raise Problem(503, "Unavailable", detail, headers={"Retry-After": "1"}) from error

    return handle
