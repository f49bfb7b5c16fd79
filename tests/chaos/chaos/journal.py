"""What a provider of the harness got, line by line, written down before anybody is answered."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from chaos.history import HandOver

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

    def write(self, content: str, address: str, *, answered: bool) -> None:
        """Note a message, now."""
        found = MARK.search(content)
        line = {
            "at": time.time(),
            "mark": found[1] if found else "none",
            "address": address,
            "answered": answered,
        }
        self._output.write(json.dumps(line) + "\n")

    def read(self) -> Iterator[HandOver]:
        """Yield what was written."""
        for line in self._file.read_text().splitlines():
            entry = json.loads(line)
            yield HandOver(
                entry["at"], self._workspace, self._channel, entry["mark"], entry["address"], entry["answered"]
            )

    def close(self) -> None:
        """Write no more."""
        self._output.close()
