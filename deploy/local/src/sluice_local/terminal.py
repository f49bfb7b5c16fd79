"""What a stack says while it runs: one short coloured line for a person, one JSON object for a machine."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from rich.console import Console
from rich.text import Text

from sluice_local.options import LogLevel

_COLOURS: Final = {
    "sluice": "bold white",
    "ingest": "cyan",
    "orchestrator": "magenta",
    "channel-sms": "green",
    "channel-email": "blue",
    "channel-whatsapp": "bright_green",
    "status-api": "yellow",
    "caddy": "bright_blue",
    "kafka": "bright_black",
    "postgres": "bright_black",
}
_LEVEL_COLOURS: Final = {"debug": "bright_black", "info": "", "warning": "yellow", "error": "red"}
LEVELS: Final[tuple[LogLevel, ...]] = ("debug", "info", "warning", "error")


class Terminal:
    """Writes to standard error; standard output carries only what others wait for, such as `ready http://…`."""

    def __init__(self, level: LogLevel, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._console = Console(file=self._stream, highlight=False, soft_wrap=False)
        self._lowest = LEVELS.index(level)

    def say(self, event: str, sentence: str, *, level: LogLevel = "info", **fields: object) -> None:
        """Report what the stack itself did: `event` and `fields` for a machine, `sentence` for a person."""
        if self._console.is_terminal:
            self._line("sluice", level, sentence)
        else:
            self._json({"level": level, "service": "sluice", "event": event, **fields, "message": sentence})

    def relay(self, name: str, line: str) -> None:
        """Pass on one line of a process's log, when it matters enough."""
        record = _parse(line)
        level = _level(record)
        # The Kafka client reports each of its own retries; what matters of them the services say themselves.
        is_chatter = str(record.get("logger", "")).startswith("aiokafka") and self._lowest > 0
        if LEVELS.index(level) < self._lowest or is_chatter:
            return
        if not self._console.is_terminal:
            self._json({"service": name, **record} if record else {"level": level, "service": name, "message": line})
            return
        self._line(name, level, _short(record) if record else line)

    def announce(self, line: str) -> None:
        """Write a line to standard output at once."""
        print(line, flush=True)

    def _line(self, name: str, level: LogLevel, sentence: str) -> None:
        service = name.rstrip("-0123456789")
        text = Text.assemble(
            (f"{name:<18}", _COLOURS.get(service, "white")), " ", (sentence, _LEVEL_COLOURS[level]), overflow="ellipsis"
        )
        self._console.print(text, no_wrap=level != "error", crop=level != "error")

    def _json(self, record: dict[str, object]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._stream.write(json.dumps({"timestamp": at, **record}) + "\n")
        self._stream.flush()


def _parse(line: str) -> dict[str, object]:
    if not line.startswith("{"):
        return {}
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _level(record: dict[str, object]) -> LogLevel:
    """Return how much a line matters; a line without structure (a traceback) always does."""
    if not record:
        return "error"
    names: dict[object, Literal["debug", "info", "warning", "error"]] = {
        "debug": "debug",
        "info": "info",
        "warn": "warning",
        "warning": "warning",
    }
    return names.get(record.get("level"), "error")


def _short(record: dict[str, object]) -> str:
    """Return a structured line as `event key=value …` without what repeats on every line."""
    event = record.get("event") or record.get("msg") or ""
    hidden = {"event", "msg", "level", "timestamp", "ts", "service", "logger", "exception", "trace_id", "span_id"}
    fields = " ".join(f"{key}={value}" for key, value in record.items() if key not in hidden)
    exception = record.get("exception")
    return f"{event} {fields}".rstrip() + (f"\n{exception}" if isinstance(exception, str) else "")
