"""What is known of a request beside what its caller said, for as long as it is being answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from sluice_runtime.http.guard.rates import Allowance

if TYPE_CHECKING:
    from sluice_runtime.http.doors import Door


@dataclass(slots=True, eq=False)
class Exchange:
    """A request's id, the door that it came through, what is left of its caller's rate, and how far its answer is.

    It is one thing under one key, because to ask a request of aiohttp for what is kept with it takes its time.
    """

    request_id: str
    door: Door | None = None
    allowance: Allowance | None = None
    is_finished: bool = False


EXCHANGE: Final = web.RequestKey("exchange", Exchange)
"""There from the moment that a request has reached the application."""

Finish = Callable[[web.Request, web.StreamResponse], None]
"""Something that is done to every answer before its headers go out."""

FINISHES: Final = web.AppKey("finishes", list[Finish])
"""What is done to every answer of the application, in this order."""


def finish(request: web.Request, response: web.StreamResponse) -> None:
    """Do to an answer what is done to all, once."""
    exchange = request[EXCHANGE]
    if not exchange.is_finished:
        exchange.is_finished = True
        for each in request.app[FINISHES]:
            each(request, response)
