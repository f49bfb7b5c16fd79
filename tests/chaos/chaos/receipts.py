"""What receipts promise: one that was taken from a provider shows on its job, unless a log that held it was lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from chaos.findings import Finding, Kind
from chaos.history import HandOver, History, Trigger

_REACHED: Final = frozenset({"delivered", "read"})


def receipts(history: History) -> Iterator[Finding]:
    """Yield receipts that nobody can see."""
    for trigger, what in _unseen(history):
        yield Finding(Kind.LOST, f"trigger {trigger.id} {what}")


def unheard(history: History) -> set[str]:
    """Return the ids of triggers with a receipt that does not show."""
    return {trigger.id for trigger, _ in _unseen(history)}


def _unseen(history: History) -> Iterator[tuple[Trigger, str]]:
    taken: defaultdict[str, dict[tuple[str, str], HandOver]] = defaultdict(dict)
    for each in history.hand_overs:
        if each.receipt_at is not None and not _is_lost(each, history):
            taken[each.mark][each.channel, each.address] = each
    shown = {trigger.id: trigger for trigger in history.triggers}
    for request in history.requests:
        for trigger in (shown[trigger_id] for trigger_id in request.trigger_ids[:1] if trigger_id in shown):
            for execution in trigger.executions:
                for job in execution.jobs:
                    got = taken[request.mark].get((execution.channel, job.address))
                    if got is not None and job.message not in _REACHED:
                        yield (
                            trigger,
                            f"job {job.id} is {job.status} and its message {job.message}, and a receipt of it was "
                            f"taken at {got.receipt_at:.3f}",
                        )


def _is_lost(hand_over: HandOver, history: History) -> bool:
    """Whether a log that the receipt went through lost what it held after the receipt was taken."""
    ways = {f"receipts.{hand_over.channel}", "deliveries"}
    return any(loss.topic in ways and loss.at >= (hand_over.receipt_at or 0.0) for loss in history.losses)
