"""How the jobs of one page stand, kept only for workflows whose conditions ask about earlier steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.answers import JobFact
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.vocabulary import Engagement, JobState, MessageState

_STATES = tuple(JobState)
_MESSAGES = tuple(MessageState)


def _nothing() -> list[int]:
    return [0] * PAGE_SIZE


@dataclass(slots=True)
class PageOutcomes:
    """One entry a position of the page: the highest standing, the highest message rank, all engagements.

    Folding is a maximum and a union: order and repetition of reports do not matter.
    """

    standings: list[int] = field(default_factory=_nothing)
    messages: list[int] = field(default_factory=_nothing)
    engagements: list[int] = field(default_factory=_nothing)

    def fold(self, facts: Iterable[JobFact]) -> bool:
        """Take facts in; return whether they changed anything."""
        changed = False
        for fact in facts:
            place = fact.seq % PAGE_SIZE
            after = (
                max(self.standings[place], fact.standing),
                max(self.messages[place], fact.message_rank),
                self.engagements[place] | fact.engagement_bits,
            )
            if after != (self.standings[place], self.messages[place], self.engagements[place]):
                self.standings[place], self.messages[place], self.engagements[place] = after
                changed = True
        return changed

    def seen_by_conditions(self, seq: int) -> dict[str, Any]:
        """Return what a condition sees of the job at `seq`: `state`, `message` ("" while none), `engagements`."""
        place = seq % PAGE_SIZE
        message = self.messages[place]
        return {
            "state": str(_STATES[self.standings[place] % len(_STATES)]),
            "message": str(_MESSAGES[message - 1]) if message else "",
            "engagements": [str(item) for item in Engagement if self.engagements[place] & item.bit],
        }
