"""A collector of traces, as small as one can be: it takes OTLP over HTTP on loopback and keeps every span."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Span:
    """One span, as its service sent it; ids in hexadecimal digits, `parent` empty where it begins a trace."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    links: frozenset[str]
    attributes: dict[str, str]


class Collector:
    """Listens while its context is open; `endpoint` is what services are told."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.endpoint = ""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def _take_spans(self, request: ExportTraceServiceRequest) -> Iterable[Span]:
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    yield Span(
                        service,
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        frozenset(link.trace_id.hex() for link in span.links),
                        _attributes(span.attributes),
                    )

    async def _take(self, request: web.Request) -> web.Response:
        self.spans += self._take_spans(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")


def _attributes(pairs: Any) -> dict[str, str]:
    return {pair.key: str(getattr(pair.value, pair.value.WhichOneof("value") or "string_value")) for pair in pairs}
