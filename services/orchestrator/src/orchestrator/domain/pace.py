"""How fast stages are fed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Pace:
    """How much a turn does. `credit`: commands that a stage may have under way; `pages` in one turn of a stage.

    `stages` that follow a written cohort are fed together in one turn, and `walks` of audiences.
    """

    credit: int = 64
    pages: int = 4
    stages: int = 32
    walks: int = 2
    lease: timedelta = timedelta(seconds=30)
