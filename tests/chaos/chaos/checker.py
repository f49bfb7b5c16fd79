"""From a history to findings. Pure: it knows what was promised, and nothing of how it is kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from chaos.findings import Finding, Kind, masked, some
from chaos.history import (
    FINAL_JOBS,
    FINAL_TRIGGERS,
    UNCERTAIN,
    Act,
    Execution,
    HandOver,
    History,
    Job,
    Policy,
    Request,
    Trigger,
)
from chaos.receipts import receipts
from chaos.steered import actions, is_cancelled, left_out, unlisted

WAVE: Final = 50
"""As many jobs may be in doubt for each kill of a channel worker."""

IN_FLIGHT_SECONDS: Final = 10.0
"""A hand-over that is older than this when its worker is killed was written down long before."""

BUCKETS: Final = ("sent", "failed", "filtered", "cancelled", "open")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker says of a run. `excess` is how many uncertain jobs there are beyond what kills can explain."""

    findings: Sequence[Finding]
    triggers: int
    messages: int
    uncertain: int
    excess: int

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.findings and self.excess == 0

    def count(self, kind: Kind) -> int:
        """Return how many findings of `kind` there are."""
        return sum(finding.kind is kind for finding in self.findings)


def check(history: History, grace_seconds: float = 60.0) -> Verdict:
    """Compare what was asked with what is shown and with what the providers got.

    `grace_seconds` is how long after a trigger is shown as cancelled or paused its messages may still go out.
    """
    shown = {trigger.id: trigger for trigger in history.triggers}
    copies = _copies(history.hand_overs)
    of_requests: defaultdict[str, list[HandOver]] = defaultdict(list)
    for (mark, _, _), got in copies.items():
        of_requests[mark] += got
    findings: list[Finding] = []
    for request in history.requests:
        findings += _answers(request, history)
        for trigger_id in request.trigger_ids[:1]:
            trigger = shown.get(trigger_id)
            if trigger is None:
                findings.append(
                    Finding(Kind.LOST, f"trigger {trigger_id} ({request.what}) was accepted and is not there")
                )
                continue
            findings += _books(trigger, is_cancelled(request, trigger))
            findings += _people(request, trigger)
            findings += _deliveries(request, trigger, copies, history)
            hand_overs = sorted(of_requests[request.mark], key=lambda each: each.at)
            findings += actions(request, trigger, hand_overs, history, grace_seconds)
    findings += receipts(history)
    findings += _strangers(history, shown)
    findings += [
        Finding(Kind.UNACCOUNTED, f"dead letter {letter.topic} {letter.place}: {letter.reason}")
        for letter in history.dead_letters
    ]
    findings += [
        Finding(Kind.UNACCOUNTED, f"{leak.file}:{leak.line} shows {leak.kind} ({leak.event})") for leak in history.leaks
    ]
    findings += [
        Finding(Kind.UNACCOUNTED, f"workspace {sight.viewer} sees {sight.what} of workspace {sight.owner}")
        for sight in history.sights
    ]
    jobs = [job for trigger in history.triggers for execution in trigger.executions for job in execution.jobs]
    uncertain = sum(job.code == UNCERTAIN for job in jobs)
    explained = WAVE * sum(each.kills for each in history.disturbances)
    explained += len({(each.mark, each.channel, each.address) for each in history.hand_overs if not each.answered})
    return Verdict(sorted(set(findings)), len(shown), len(jobs), uncertain, max(0, uncertain - explained))


def _copies(hand_overs: Iterable[HandOver]) -> Mapping[tuple[str, str, str], list[HandOver]]:
    copies: defaultdict[tuple[str, str, str], list[HandOver]] = defaultdict(list)
    for each in sorted(hand_overs, key=lambda hand_over: hand_over.at):
        copies[each.mark, each.channel, each.address].append(each)
    return copies


def _answers(request: Request, history: History) -> Iterator[Finding]:
    name = f"request {request.mark} ({request.what})"
    if not request.trigger_ids and not request.event_ids:
        yield Finding(Kind.UNACCOUNTED, f"{name} was never answered")
    for kind, ids in (("events", request.event_ids), ("triggers", request.trigger_ids)):
        if len(set(ids)) > 1:
            yield Finding(Kind.DUPLICATED, f"{name} became several {kind}: {', '.join(sorted(set(ids)))}")
    for event_id in request.event_ids[:1]:
        if not request.trigger_ids:
            yield Finding(Kind.LOST, f"{name}: event {event_id} was accepted and started nothing")
        elif request.is_untold and not any(
            loss.topic == "executions" and loss.at >= request.asked_at for loss in history.losses
        ):
            yield Finding(Kind.LOST, f"{name}: nobody shows what became of event {event_id}")


def _books(trigger: Trigger, cut_short: bool) -> Iterator[Finding]:
    name = f"trigger {trigger.id}"
    if trigger.status not in FINAL_TRIGGERS:
        yield Finding(Kind.STUCK, f"{name} is {trigger.status} for ever, open={trigger.ledger.get('open')}")
    if trigger.ledger.get("unaccounted"):
        yield Finding(Kind.UNACCOUNTED, f"{name} has unaccounted={trigger.ledger['unaccounted']}")
    for bucket in ("total", *BUCKETS):
        total = sum(execution.counters[bucket] for execution in trigger.executions)
        if trigger.ledger[bucket] != total:
            yield Finding(
                Kind.UNACCOUNTED, f"{name} says {bucket}={trigger.ledger[bucket]}, its executions {total} together"
            )
    for execution in trigger.executions:
        yield from _execution(name, execution, unlisted(execution) if cut_short else 0)


def _execution(name: str, execution: Execution, never_listed: int) -> Iterator[Finding]:
    """Yield what does not balance; so many of the cancelled jobs have no row."""
    name = f"{name} execution {execution.id} ({execution.channel})"
    counters = execution.counters
    if counters["total"] != sum(counters[bucket] for bucket in BUCKETS):
        yield Finding(Kind.UNACCOUNTED, f"{name} does not balance: {dict(counters)}")
    recount = Counter(job.status if job.status in FINAL_JOBS else "open" for job in execution.jobs)
    recount["cancelled"] += max(0, never_listed)
    for bucket in BUCKETS:
        if bucket == "open":
            continue
        if counters[bucket] != recount[bucket]:
            yield Finding(
                Kind.UNACCOUNTED, f"{name} counts {bucket}={counters[bucket]} and lists {recount[bucket]} of them"
            )
    if counters["open"]:
        yield Finding(Kind.STUCK, f"{name} has open={counters['open']}")
    for job in execution.jobs:
        if job.status not in FINAL_JOBS:
            yield Finding(Kind.STUCK, f"{name} job {job.id} is {job.status} for ever ({job.code})")
    for job_id, rows in Counter(job.id for job in execution.jobs).items():
        if rows > 1:
            yield Finding(Kind.UNACCOUNTED, f"{name} lists job {job_id} {rows} times")


def _people(request: Request, trigger: Trigger) -> Iterator[Finding]:
    """Everybody who was asked for has one job on each channel, and nobody else has."""
    listed: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for execution in trigger.executions:
        for job in execution.jobs:
            listed[execution.channel][job.address] += 1
    name = f"trigger {trigger.id} ({request.what})"
    for channel, wanted in request.people.items():
        missing = sorted(wanted - listed[channel].keys())
        if len(missing) != (left_out(trigger, channel, len(wanted)) if is_cancelled(request, trigger) else 0):
            yield Finding(Kind.LOST, f"{name} has no {channel} job for {some(missing)}")
    for channel, addresses in listed.items():
        strangers = sorted(addresses.keys() - request.people.get(channel, frozenset()))
        if strangers:
            yield Finding(Kind.UNACCOUNTED, f"{name} has {channel} jobs for others than asked: {some(strangers)}")
        for address, jobs in addresses.items():
            if jobs > 1:
                yield Finding(Kind.DUPLICATED, f"{name} has {jobs} {channel} jobs for {masked(address)}")


def _deliveries(
    request: Request, trigger: Trigger, copies: Mapping[tuple[str, str, str], list[HandOver]], history: History
) -> Iterator[Finding]:
    for execution in trigger.executions:
        for job in execution.jobs:
            got = copies.get((request.mark, execution.channel, job.address), [])
            name = f"trigger {trigger.id} job {job.id} ({request.what}, {execution.channel})"
            yield from _one_delivery(name, job, got)
            for first, second in pairwise(got):
                if not _may_repeat(request, first, second, history):
                    yield Finding(
                        Kind.DUPLICATED,
                        f"{name} was handed over at {first.at:.3f} and again at {second.at:.3f} ({request.policy})",
                    )


def _one_delivery(name: str, job: Job, got: Sequence[HandOver]) -> Iterator[Finding]:
    if job.status == "sent" and not got:
        yield Finding(Kind.LOST, f"{name} is shown as sent, and the provider never got it")
    if job.status != "sent" and job.code != UNCERTAIN and any(each.answered for each in got):
        yield Finding(Kind.UNACCOUNTED, f"{name} is shown as {job.status} ({job.code}), and the provider has it")


def _may_repeat(request: Request, first: HandOver, second: HandOver, history: History) -> bool:
    """Whether it was in doubt who had a message, and it was to be sent again then: by policy, or by its operator."""
    retry = request.last(Act.RETRY)
    is_wanted = request.policy is Policy.RESEND or (retry is not None and second.at >= retry.asked_at)
    return is_wanted and (not first.answered or _is_in_doubt(first, second, history))


def _is_in_doubt(first: HandOver, second: HandOver, history: History) -> bool:
    return any(
        each.channel == first.channel and each.at - IN_FLIGHT_SECONDS <= first.at <= each.until and second.at >= each.at
        for each in history.disturbances
    )


def _strangers(history: History, shown: Mapping[str, Trigger]) -> Iterator[Finding]:
    """What providers got, or dashboards show, and nobody asked for."""
    asked = {request.mark: request for request in history.requests}
    answered = {trigger_id for request in history.requests for trigger_id in request.trigger_ids}
    for trigger_id in history.unknown_triggers:
        if trigger_id not in answered:
            yield Finding(Kind.UNACCOUNTED, f"trigger {trigger_id} is shown, and nobody asked for it")
    for each in history.hand_overs:
        request = asked.get(each.mark)
        what = f"a message with mark {each.mark} to {masked(each.address)} ({each.channel})"
        if request is None:
            yield Finding(Kind.UNACCOUNTED, f"{what} was handed over, and nobody asked for it")
        elif request.workspace != each.workspace:
            yield Finding(
                Kind.UNACCOUNTED, f"{what} of workspace {request.workspace} left through workspace {each.workspace}"
            )
        elif each.address not in request.people.get(each.channel, frozenset()):
            yield Finding(Kind.UNACCOUNTED, f"{what} went to somebody whom {request.what} was not for")
    for request in history.requests:
        for trigger_id in request.trigger_ids[:1]:
            trigger = shown.get(trigger_id)
            if trigger is not None and trigger.workspace != request.workspace:
                yield Finding(
                    Kind.UNACCOUNTED,
                    f"trigger {trigger_id} of workspace {request.workspace} is shown to workspace {trigger.workspace}",
                )
