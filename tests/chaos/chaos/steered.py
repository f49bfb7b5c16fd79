"""What actions promise: a cancelled or paused trigger sends nothing, one that is resumed or tried again does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from chaos.findings import Finding, Kind
from chaos.history import Act, Execution, HandOver, History, Refusal, Request, Trigger

REFUSED: Final = "recipient_rejected"
"""The code of a job that a provider refused for good."""


def is_cancelled(request: Request, trigger: Trigger) -> bool:
    """Whether a trigger was cut short because somebody asked for it."""
    return trigger.status == "cancelled" and request.last(Act.CANCEL) is not None


def left_out(trigger: Trigger, channel: str, asked: int) -> int:
    """Return how many of the people asked for have no row on a channel of a cancelled trigger.

    They are counted as cancelled, for nobody had come to them yet; a step that had not begun counts nobody at all.
    """
    executions = [execution for execution in trigger.executions if execution.channel == channel]
    if not any(execution.counters["total"] or execution.jobs for execution in executions):
        return asked
    return sum(map(unlisted, executions))


def unlisted(execution: Execution) -> int:
    """Return how many jobs of an execution are counted as cancelled and are not in its list."""
    return execution.counters["cancelled"] - sum(job.status == "cancelled" for job in execution.jobs)


def actions(
    request: Request, trigger: Trigger, hand_overs: Sequence[HandOver], history: History, grace_seconds: float
) -> Iterator[Finding]:
    """Yield what became of actions that should not have. `hand_overs` are those of the request, oldest first."""
    name = f"trigger {trigger.id} ({request.what})"
    if trigger.status == "cancelled" and request.last(Act.CANCEL) is None:
        yield Finding(Kind.UNACCOUNTED, f"{name} is cancelled, and nobody asked for it")
    yield from _silence(name, request, hand_overs, grace_seconds)
    yield from _retried(name, request, trigger, history.refusals)


def _silence(name: str, request: Request, hand_overs: Sequence[HandOver], grace_seconds: float) -> Iterator[Finding]:
    """Nothing is handed over once a trigger is seen to be cancelled, or paused until somebody asks to resume it.

    What a worker has in its hands at that moment may still go out, `grace_seconds` later at most. Nothing is promised
    for the time before: how long a cancel takes to be heard depends on how much is to be done before it.
    """
    resumed = request.last(Act.RESUME)
    for act, until in ((Act.CANCEL, None), (Act.PAUSE, resumed.asked_at if resumed else None)):
        action = request.last(act)
        if action is None or action.accepted_at is None or action.shown_at is None:
            continue
        since = action.shown_at + grace_seconds
        late = [each for each in hand_overs if since < each.at and (until is None or each.at < until)]
        if late:
            yield Finding(
                Kind.UNACCOUNTED,
                f"{name} was shown after {act} at {action.shown_at:.3f}, and {len(late)} messages were handed over "
                f"later, the last at {late[-1].at:.3f}",
            )


def _retried(name: str, request: Request, trigger: Trigger, refusals: Sequence[Refusal]) -> Iterator[Finding]:
    """What failed because it was refused once is tried again when somebody asks for it."""
    retry = request.last(Act.RETRY)
    if retry is None or retry.accepted_at is None:
        return
    refused = {
        (each.channel, each.address) for each in refusals if each.mark == request.mark and each.at < retry.asked_at
    }
    for execution in trigger.executions:
        for job in execution.jobs:
            if job.status == "failed" and job.code == REFUSED and (execution.channel, job.address) in refused:
                yield Finding(Kind.LOST, f"{name} job {job.id} failed, and was not tried again when it was asked for")
