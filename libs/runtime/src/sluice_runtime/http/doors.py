"""Doors: other products' HTTP APIs, spoken over the one core; each renders what goes wrong in its own words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from pydantic import BaseModel

from sluice_runtime.http.exchange import EXCHANGE
from sluice_runtime.http.principal import Principal
from sluice_runtime.http.problems import Problem


@dataclass(frozen=True)
class Door:
    """How one product's API differs from ours around its operations.

    `render` makes the answer to everything that is raised below an operation of the door (401 to 503), and to 404 and
    405 at paths that begin with one of `prefixes` where no operation is. Without `authenticate` the service's own
    credentials count; it raises Problem as that does. `finish` may add headers to any answer of the door. `error` is
    the model of what `render` makes, for the document; None where that is problem details all the same.
    """

    name: str
    render: Callable[[Problem, web.Request], web.Response]
    prefixes: Sequence[str] = ()
    authenticate: Callable[[web.Request], Awaitable[Principal]] | None = None
    finish: Callable[[web.StreamResponse, web.Request], None] | None = None
    error: type[BaseModel] | None = None


DOORS: Final = web.AppKey("doors", dict[str, Door])
"""The doors of an application by name."""


def rendered(problem: Problem, request: web.Request) -> web.Response:
    """Return the answer to `problem` in the words of the door that `request` came through."""
    door = request[EXCHANGE].door
    return problem.response() if door is None else _by(door, problem, request)


def rendered_unrouted(problem: Problem, request: web.Request) -> web.Response:
    """Return the answer to `problem` at a path that leads to no operation."""
    for door in request.app.get(DOORS, {}).values():
        if request.path.startswith(tuple(door.prefixes)):
            request[EXCHANGE].door = door
            return _by(door, problem, request)
    return problem.response()


def _by(door: Door, problem: Problem, request: web.Request) -> web.Response:
    response = door.render(problem, request)
    for name, value in problem.headers.items():
        response.headers.setdefault(name, value)
    return response
