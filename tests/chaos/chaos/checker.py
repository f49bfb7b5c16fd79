"""From a history to findings. Pure: it knows what was promised, and nothing of how it is kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import Final

from chaos.deliveries import Person, deliveries
from chaos.doubts import Doubts, excess, uncertain
from chaos.findings import Finding, Kind, masked, some
from chaos.history import (
    FINAL_JOBS,
    FINAL_TRIGGERS,
    Execution,
    HandOver,
    History,
    Refusal,
    Request,
    Trigger,
)
from chaos.receipts import receipts
from chaos.steered import REFUSED, actions, is_cancelled, left_out, unlisted

GIVEN_UP: Final = "retries_exhausted"
"""The code of a job whose provider asked too often to be called again later."""

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
        """Whether every promise was kept, and there were any."""
        return not self.findings and self.excess == 0 and self.messages > 0

    def count(self, kind: Kind) -> int:
        """Return how many findings of `kind` there are."""
        return sum(finding.kind is kind for finding in self.findings)


def check(history: History, grace_seconds: float = 60.0) -> Verdict:
    """Compare what was asked with what is shown and with what the providers got.

    `grace_seconds` is how long after a trigger is shown as cancelled or paused its messages may still go out.
    """
    shown = {trigger.id: trigger for trigger in history.triggers}
    got, refused = _by_person(history.hand_overs), _refused(history.refusals)
    deferred = {(each.channel, each.address) for each in history.deferrals}
    doubts = Doubts(history.disturbances)
    findings: list[Finding] = []
    for request in history.requests:
        findings += _answers(request)
        for trigger_id in request.trigger_ids[:1]:
            trigger = shown.get(trigger_id)
            if trigger is None:
                findings.append(
                    Finding(Kind.LOST, f"trigger {trigger_id} ({request.what}) was accepted and is not there")
                )
                continue
            findings += _books(trigger, is_cancelled(request, trigger))
            findings += _people(request, trigger)
            mine = got.get(request.mark, {})
            reasons = {REFUSED: refused.get(request.mark, frozenset()), GIVEN_UP: deferred}
            findings += deliveries(request, trigger, mine, reasons, doubts)
            hand_overs = sorted(chain.from_iterable(mine.values()), key=lambda each: each.at)
            findings += actions(request, trigger, hand_overs, history, grace_seconds)
    findings += doubts.excessive()
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
    messages = sum(len(execution.jobs) for trigger in history.triggers for execution in trigger.executions)
    return Verdict(sorted(set(findings)), len(shown), messages, uncertain(history), excess(history))


def _by_person(hand_overs: Iterable[HandOver]) -> Mapping[str, Mapping[Person, Sequence[HandOver]]]:
    """Return the hand-overs of each request by channel and address, oldest first."""
    found: defaultdict[str, defaultdict[Person, list[HandOver]]] = defaultdict(lambda: defaultdict(list))
    for each in sorted(hand_overs, key=lambda hand_over: hand_over.at):
        found[each.mark][each.channel, each.address].append(each)
    return found


def _refused(refusals: Iterable[Refusal]) -> Mapping[str, Set[Person]]:
    found: defaultdict[str, set[Person]] = defaultdict(set)
    for each in refusals:
        found[each.mark].add((each.channel, each.address))
    return found


def _answers(request: Request) -> Iterator[Finding]:
    name = f"request {request.mark} ({request.what})"
    if not request.trigger_ids and not request.event_ids:
        yield Finding(Kind.UNACCOUNTED, f"{name} was never answered")
    for kind, ids in (("events", request.event_ids), ("triggers", request.trigger_ids)):
        if len(set(ids)) > 1:
            yield Finding(Kind.DUPLICATED, f"{name} became several {kind}: {', '.join(sorted(set(ids)))}")
    for event_id in request.event_ids[:1]:
        if not request.trigger_ids:
            yield Finding(Kind.LOST, f"{name}: event {event_id} was accepted and is not shown to have started anything")


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
