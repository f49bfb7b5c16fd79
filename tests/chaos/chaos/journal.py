"""What a provider of the harness got, line by line, written down before anybody is answered."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from chaos.history import Deferral, HandOver, Refusal

MARK: Final = re.compile(r"mark:([0-9a-z]{12})")
"""How a message says which request of the load it belongs to."""


class Mood(StrEnum):
    """How a provider treats its callers."""

    WELL = "well"
    REFUSING = "refusing"
    SILENT = "silent"
    THROTTLING = "throttling"


class Journal:
    """Appends to one file."""

    def __init__(self, file: Path, workspace: str, channel: str) -> None:
        self._file = file
        self._workspace = workspace
        self._channel = channel
        self._output = file.open("a", buffering=1)

    def write(self, content: str, address: str, *, answered: bool, message: str | None = None) -> None:
        """Note a message, now; `message` is the provider's name for it."""
        self._write(mark=mark_in(content), address=address, answered=answered, message=message)

    def refuse(self, content: str, address: str) -> None:
        """Note a message that is refused for good."""
        self._write(mark=mark_in(content), address=address, refused=True)

    def defer(self, address: str) -> None:
        """Note that somebody's message is to come again later."""
        self._write(address=address, deferred=True)

    def receipt(self, message: str) -> None:
        """Note that a receipt was taken, now."""
        self._write(receipt=message)

    def read(self) -> Iterator[HandOver]:
        """Yield the messages, each with its receipt."""
        entries = self._entries()
        receipts = {entry["receipt"]: entry["at"] for entry in entries if "receipt" in entry}
        for entry in entries:
            if "answered" in entry:
                yield HandOver(
                    entry["at"],
                    self._workspace,
                    self._channel,
                    entry["mark"],
                    entry["address"],
                    entry["answered"],
                    receipt_at=receipts.get(entry["message"]),
                )

    def refusals(self) -> Iterator[Refusal]:
        """Yield what was refused."""
        for entry in self._entries():
            if "refused" in entry:
                yield Refusal(entry["at"], entry["mark"], self._channel, entry["address"])

    def deferrals(self) -> Iterator[Deferral]:
        """Yield what was to come again later."""
        for entry in self._entries():
            if "deferred" in entry:
                yield Deferral(entry["at"], self._channel, entry["address"])

    def close(self) -> None:
        """Write no more."""
        self._output.close()

    def _write(self, **entry: Any) -> None:
        self._output.write(json.dumps({"at": time.time(), **entry}) + "\n")

    def _entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._file.read_text().splitlines()]


def mark_in(content: str) -> str:
    """Return the mark of a message's request."""
    found = MARK.search(content)
    return found[1] if found else "none"
