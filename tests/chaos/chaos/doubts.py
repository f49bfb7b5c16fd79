"""How many messages may be in doubt: as many as a worker had in its hands when it was killed or stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from chaos.findings import Finding, Kind
from chaos.history import UNCERTAIN, Disturbance, HandOver, History

WAVE: Final = 50
"""As many messages may be in doubt for each kill of a channel worker."""

IN_FLIGHT_SECONDS: Final = 30.0
"""A hand-over that is older than this when its worker is killed was written down long before, also by one that had to
wait for its database."""


class Doubts:
    """What disturbances of workers explain, and how often each has been the explanation."""

    def __init__(self, disturbances: Sequence[Disturbance]) -> None:
        self._disturbances = disturbances
        self._explained: Counter[Disturbance] = Counter()

    def explain(self, first: HandOver, second: HandOver) -> bool:
        """Tell whether a worker died or stood still with the first hand-over, before the second, and count it."""
        for each in self._disturbances:
            since = each.at - IN_FLIGHT_SECONDS
            if each.channel == first.channel and since <= first.at <= each.until and second.at >= each.at:
                self._explained[each] += 1
                return True
        return False

    def excessive(self) -> Iterator[Finding]:
        """Yield disturbances that had to explain more than a worker has in its hands."""
        for each, times in self._explained.items():
            if times > WAVE * max(1, each.kills):
                yield Finding(
                    Kind.DUPLICATED,
                    f"{times} {each.channel} messages went out again because of {each.kills} workers at {each.at:.3f}",
                )


def uncertain(history: History) -> int:
    """Return how many jobs failed because nobody can say whether the provider has them."""
    return sum(1 for _ in _uncertain(history))


def excess(history: History) -> int:
    """Return how many of them kills of the workers of their own channel, and providers' silence, cannot explain."""
    swallowed = {(each.mark, each.channel, each.address) for each in history.hand_overs if not each.answered}
    left = Counter(
        channel for mark, channel, address in _uncertain(history) if (mark, channel, address) not in swallowed
    )
    left.subtract(_allowed(history.disturbances))
    return sum(number for number in left.values() if number > 0)


def _allowed(disturbances: Iterable[Disturbance]) -> Counter[str]:
    allowed: Counter[str] = Counter()
    for each in disturbances:
        allowed[each.channel] += WAVE * each.kills
    return allowed


def _uncertain(history: History) -> Iterator[tuple[str, str, str]]:
    """Yield mark, channel and address of every uncertain job; the mark is empty where nobody asked for its trigger."""
    marks = {trigger_id: request.mark for request in history.requests for trigger_id in request.trigger_ids}
    for trigger in history.triggers:
        for execution in trigger.executions:
            for job in execution.jobs:
                if job.code == UNCERTAIN:
                    yield marks.get(trigger.id, ""), execution.channel, job.address
