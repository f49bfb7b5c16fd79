"""One line an outcome: a constant event name, fields, bound context. JSON for machines, a short form for people.

Lines of ours go straight from structlog to standard output; records of libraries pass through the same processors, so
both look alike and neither shows an address or a secret.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Final

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from sluice_runtime.redaction import mask_address, redact
from sluice_runtime.tracebacks import render_exception

__all__ = ["configure", "mask_address"]

CURRENT_REQUEST: Final[ContextVar[str]] = ContextVar("request_id")
"""The id of the HTTP request that is being answered; lines written meanwhile carry it."""

_QUIET_LIBRARIES: Final = {
    "aiokafka": logging.WARNING,
    "aiohttp.access": logging.ERROR,
    "asyncio": logging.WARNING,
    "urllib3": logging.WARNING,
}


def configure(service: str, format: str = "json", level: str = "info") -> None:  # noqa: A002 - the setting's name
    """Set logging up for the whole process. `format` is "json" or "console", `level` a name such as "info"."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    render = _render_json if format == "json" else _render_console
    shared = _shared_processors(service)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    _take_over_library_records(shared, render, threshold)


def _shared_processors(service: str) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _adder(service),
        structlog.processors.ExceptionRenderer(render_exception),
        _redactor,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _adder(service: str) -> Processor:
    def add_service_request_and_trace(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        event["service"] = service
        if (request_id := CURRENT_REQUEST.get(None)) is not None:
            event["request_id"] = request_id
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            event["trace_id"] = format(context.trace_id, "032x")
            event["span_id"] = format(context.span_id, "016x")
        return event

    return add_service_request_and_trace


def _redactor(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    # structlog's own bookkeeping on library records passes untouched: its formatter needs the objects themselves.
    kept = {key: event.pop(key) for key in ("_record", "_from_structlog") if key in event}
    return {**redact(event), **kept}


def _render_json(logger: WrappedLogger, name: str, event: EventDict) -> bytes:
    first = {name: event.pop(name, None) for name in ("timestamp", "level", "service", "event")}
    line = {**first, **event}
    try:
        return orjson.dumps(line, default=str)
    except TypeError:
        # A number beyond 64 bits or half a character: rare, and no reason to lose a line.
        return json.dumps(line, default=str).encode()


def _render_console(logger: WrappedLogger, name: str, event: EventDict) -> bytes:
    exception = event.pop("exception", None)
    at = datetime.fromisoformat(event.pop("timestamp")).astimezone()
    level, service, what = event.pop("level", "info"), event.pop("service", ""), event.pop("event", "")
    for noise in ("trace_id", "span_id"):
        event.pop(noise, None)
    fields = " ".join(f"{key}={value}" for key, value in event.items())
    line = f"{at:%H:%M:%S} {level:<7} {service:<13} {what}  {fields}".rstrip()
    return (f"{line}\n{exception}" if exception else line).encode(errors="replace")


def _take_over_library_records(shared: list[Processor], render: Callable[..., bytes], threshold: int) -> None:
    def to_text(logger: WrappedLogger, name: str, event: EventDict) -> str:
        return render(logger, name, event).decode()

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, to_text],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for library, quietest in _QUIET_LIBRARIES.items():
        logging.getLogger(library).setLevel(max(threshold, quietest))
    logging.captureWarnings(capture=True)
