"""How fast stages are fed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Pace:
    """How much a turn does. `credit`: commands that a stage may have under way; `pages` in one turn of a stage.

    `stages` that follow a written cohort are fed together in one turn, and `walks` of audiences; together they take
    about `pages_together`, so that memory is flat whatever is due.
    """

    credit: int = 64
    pages: int = 6
    pages_together: int = 64
    stages: int = 100
    walks: int = 2
    lease: timedelta = timedelta(seconds=30)

    @property
    def fed_below(self) -> int:
        """With fewer commands than this under way a stage has its turn: there is room for all that a turn may take."""
        return max(1, self.credit - self.pages + 1)

    def pages_for(self, stages: int) -> int:
        """Return how many pages each of `stages` may take that are fed in one turn: at least one."""
        return max(1, min(self.pages, self.pages_together // max(1, stages)))
