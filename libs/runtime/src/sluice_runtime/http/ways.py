"""From a request to its handler by one look-up, for as many requests as that can be right for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ANY: Final = hdrs.METH_ANY


class Ways:
    """The handlers of paths without placeholders, by method and path as they stand in the request's first line.

    aiohttp looks for the route, makes an object of what it found and puts the middlewares around the handler, for each
    request anew. Here that is done once for each route, when everything has been added to `app`. A request that asks
    for something else, in other letters, with a query or with an expectation goes `otherwise`, which finds all of them.
    """

    def __init__(self, app: web.Application, otherwise: Answering) -> None:
        self._otherwise = otherwise
        self._ways: dict[tuple[str, str], tuple[Handler, web.UrlMappingMatchInfo]] = {}
        for route in app.router.routes():
            resource = route.resource
            if isinstance(resource, web.PlainResource) and route.method != _ANY:
                match = web.UrlMappingMatchInfo({}, route)
                match.add_app(app)
                match.freeze()
                self._ways.setdefault((route.method, resource.canonical), (_surrounded(app, route.handler), match))

    def __call__(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        """Answer `request`."""
        way = self._ways.get((request.method, request.raw_path))
        if way is None or hdrs.EXPECT in request.headers:
            return self._otherwise(request)
        handler, request._match_info = way
        return handler(request)


def _surrounded(app: web.Application, handler: Handler) -> Handler:
    for middleware in reversed(app.middlewares):
        handler = partial(middleware, handler=handler)
    return handler
