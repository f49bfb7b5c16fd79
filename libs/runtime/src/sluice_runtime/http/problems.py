"""Errors that a caller sees: RFC 9457 problem details, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypedDict

import orjson
from aiohttp import web

from sluice_runtime.http.answers import WholeAnswer

CONTENT_TYPE = "application/problem+json"


class FieldError(TypedDict):
    """What is wrong with one field. `field` is a dotted path with list indexes, empty for the whole body."""

    field: str
    message: str


class Problem(Exception):  # noqa: N818 - it is named as RFC 9457 names it
    """Raised anywhere below a handler to answer with a problem document.

    `detail` and `errors` are written for the caller; `members` are further members of the document.
    """

    def __init__(
        self,
        status: int,
        title: str | None = None,
        detail: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})
        super().__init__(f"{status} {self.title}")

    def document(self) -> dict[str, Any]:
        """Return the members of the problem document."""
        document: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail is not None:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = self.errors
        return document | self.members

    def response(self) -> web.Response:
        """Return the answer."""
        body = orjson.dumps(self.document(), default=str)
        return WholeAnswer(self.status, body, {**self.headers, "Content-Type": CONTENT_TYPE})


def invalid(errors: Sequence[FieldError]) -> Problem:
    """Return the problem that says which fields of a request are wrong."""
    return Problem(422, "Invalid request", "The request has fields that are missing or wrong.", errors)


def not_found(what: str) -> Problem:
    """Return the problem that says that `what` ("trigger", say) is not there, or is another workspace's."""
    return Problem(404, "Not found", f"There is no such {what}.")
