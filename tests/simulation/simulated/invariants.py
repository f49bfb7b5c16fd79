"""What must hold: at every look while a run is under way, and at its end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any
from uuid import UUID

import orjson

from simulated import event_invariants
from simulated.copies import Stage
from simulated.people import People
from simulated.scenario import Scenario
from simulated.storage import Row
from simulated.twins.status import COUNTERS, Counted, counters_of, reason_of
from simulated.watches import StatusWatch, WaitWatch
from sluice_contracts import topics
from sluice_contracts.identifiers import JobId
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients, RetryRequested, TriggerAccepted
from sluice_contracts.vocabulary import FailureCode, JobState, Lane, MessageState
from status_api.adapters.rows import execution_row, trigger_row
from status_api.domain.fold import JobFacts
from status_api.domain.overview import Overview, overview
from status_api.domain.presentation.ledger import present_ledger
from status_api.domain.progress import epoch_of, state_of


def at_every_look(stage: Stage, watch: StatusWatch | None = None) -> Iterator[str]:
    """Yield what is wrong at this moment; where a watch is given, with what it has seen change since the last look."""
    changed = None if watch is None else watch.changed()
    if changed is not None and not changed:
        return
    store = stage.servers["status"].store
    executions: Mapping[Any, Row] = {
        execution_id: row
        for execution_id, row in store.table("executions").items()
        if changed is None or execution_id in changed or row["trigger_id"] in changed
    }
    rows = store.table("jobs").values() if watch is None else chain.from_iterable(map(watch.jobs_of, executions))
    counted: dict[UUID, Counter[Counted]] = {execution_id: Counter() for execution_id in executions}
    reasons: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        execution_id, facts = row["execution_id"], row["facts"]
        contributions = counted.get(execution_id)
        if contributions is None:
            yield f"a job of an execution that is not known: {row}"
            continue
        contributions[counters_of(facts)] += 1
        reason = reason_of(facts)
        if reason is not None:
            reasons[execution_id, *reason] += 1
    for execution_id, row in executions.items():
        sums = dict.fromkeys(COUNTERS, 0)
        for contribution, jobs in counted[execution_id].items():
            for name, number in zip(COUNTERS, contribution, strict=True):
                sums[name] += jobs * number
        wrong = {name: row[name] for name, number in sums.items() if row[name] != number}
        if wrong:
            yield f"counters differ from a recount: {execution_id} {wrong}"
    kept = {
        key: row["n"]
        for key, row in store.table("reasons").items()
        if row["n"] and (changed is None or key[0] in executions)  # type: ignore[index]
    }
    if kept != dict(reasons):
        yield f"reasons differ from a recount: {kept} {dict(reasons)}"
    touched = None if changed is None else {*changed, *(row["trigger_id"] for row in executions.values())}
    for seen in _overviews(stage, touched):
        ledger = present_ledger(seen, [], unmasked=True)
        if ledger["unaccounted"] or ledger["open"] < 0:
            yield f"the ledger does not balance: {ledger['trigger_id']} {_buckets(ledger)}"


def at_the_end(stage: Stage, scenario: Scenario, watch: WaitWatch) -> Iterator[str]:
    """Yield what is wrong when everything has come to rest."""
    yield from at_every_look(stage)
    yield from stage.fallen
    yield from stage.broker.violations
    yield from event_invariants.waits(stage, scenario, watch)
    yield from event_invariants.starts(stage, scenario)
    triggers = event_invariants.accepted_triggers(stage, scenario)
    for topic in topics.catalogue():
        for dead in stage.broker.records(topic.dead_letters):
            yield f"dead letter on {topic.name}: {dict(dead.headers)}"
    yield from _balances(stage, triggers, scenario.people)
    yield from _hand_overs(stage, triggers)
    yield from _fates(stage)
    yield from _retries(stage)
    yield from _answers(stage)


def all_final(stage: Stage) -> bool:
    """Whether status has heard of the end of every trigger that it knows."""
    return all(seen.status.is_final for seen in _overviews(stage))


def stuck(stage: Stage) -> str:
    """Describe what is still open."""
    orchestrator = stage.servers["orchestrator"].store
    return (
        f"stuck: commands {list(orchestrator.table('commands').values())[:3]} "
        f"stages {list(orchestrator.table('stages').values())[:3]} "
        f"lag {[(group, lag) for group, lag in lags(stage) if lag]}"
    )


def lags(stage: Stage) -> Iterable[tuple[str, int]]:
    """Yield each group with how many records it has not committed."""
    seen = set()
    for source in stage.sources:
        for topic in source.topics:
            if (source.group, topic) not in seen:
                seen.add((source.group, topic))
                yield f"{source.group}/{topic}", stage.broker.lag(source.group, topic)


def _overviews(stage: Stage, only: Collection[UUID] | None = None) -> Iterator[Overview]:
    store = stage.servers["status"].store
    executions = [
        (row["trigger_id"], {name: value for name, value in row.items() if name != "workspace_id"})
        for row in store.table("executions").values()
        if row["channel"] is not None
    ]
    hidden = {"lane", "metadata", "stream_id", "dry_run", "starts_at"}
    for trigger_id, row in store.table("triggers").items():
        if row["accepted_at"] is not None and (only is None or trigger_id in only):
            shown = {name: value for name, value in row.items() if name not in hidden}
            trigger = trigger_row(shown | {"version": store.table("versions")[trigger_id]["version"]})  # type: ignore[arg-type]
            yield overview(trigger, [execution_row(own) for of, own in executions if of == trigger_id])  # type: ignore[arg-type]


def _balances(stage: Stage, triggers: Mapping[UUID, TriggerAccepted], everybody: People) -> Iterator[str]:
    known = {seen.trigger.trigger_id: seen for seen in _overviews(stage)}
    for trigger_id, trigger in triggers.items():
        seen = known.get(trigger_id)
        if seen is None:
            yield f"accepted and unknown to status: {trigger_id}"
            continue
        ledger = present_ledger(seen, [], unmasked=True)
        if ledger["open"] or ledger["held"]:
            yield f"open at the end: {trigger_id} {_buckets(ledger)}"
        if not seen.status.is_final:
            yield f"without an end: {trigger_id} is {seen.status}"
        match trigger.recipients:
            case ContactRecipients(external_ids=names) | AddressRecipients(addresses=names):
                people = len(set(names))
            case _:
                people = sum(one.status == "active" for one in everybody.of(trigger.workspace_id))
        if not seen.trigger.cancelled:
            yield from _totals(seen, people)


def _totals(seen: Overview, people: int) -> Iterator[str]:
    steps: Counter[int | None] = Counter()
    for execution in seen.executions:
        steps[execution.step_order] += execution.counts.total
    for order, total in steps.items():
        is_group = seen.trigger.template_group_id is not None
        if total < people or (not is_group and total != people):
            yield f"{people} people and {total} jobs in step {order} of {seen.trigger.trigger_id}"


def _buckets(ledger: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in ledger.items() if name != "executions"}


def _hand_overs(stage: Stage, triggers: Mapping[UUID, TriggerAccepted]) -> Iterator[str]:
    epochs = _epochs(stage)
    times: Counter[tuple[str, int]] = Counter()
    for taken in stage.exchange.taken:
        times[taken.job_id, epochs[taken.job.execution_id, taken.job.round, taken.job.seq]] += 1
    essential = _essential_executions(stage, triggers)
    for (job_id, epoch), number in times.items():
        allowed = 1
        if JobId.parse(job_id).execution_id in essential:
            allowed += stage.exchange.forgiven[job_id]
        if number > allowed:
            where = [taken for taken in stage.exchange.taken if taken.job_id == job_id]
            yield f"{job_id} was handed over {number} times in epoch {epoch}, allowed are {allowed}: {where}"


def _fates(stage: Stage) -> Iterator[str]:
    status = stage.servers["status"].store.table("jobs")
    facts: dict[str, JobFacts] = {str(JobId(row["execution_id"], row["seq"])): row["facts"] for row in status.values()}
    taken = {one.job_id for one in stage.exchange.taken}
    for job_id in sorted(taken):
        known = facts.get(job_id)
        state = JobState.PENDING if known is None else state_of(known.progress)
        said = stage.exchange.said.get(job_id)
        entry = None if known is None else known.timeline.get(str(known.progress))
        is_uncertain = entry is not None and entry.code == FailureCode.UNCERTAIN
        if known is None or (state is not JobState.SENT and said is not None):
            # Nobody asks again about a job that has ended: the receipt that knew better was lost with its log.
            if not (is_uncertain and stage.patience.silence is not None):
                yield f"the provider spoke of {job_id} ({said}), and it is {state}"
        elif state is not JobState.SENT:
            # Nobody ever heard of it again, so that it ends as whatever its next hand-over would have come to.
            if not stage.exchange.forgiven[job_id] and not is_uncertain:
                yield f"{job_id} was handed over, and it is {state} {entry}"
        else:
            yield from _message(stage, job_id, known, said)
    for job_id, known in facts.items():
        if state_of(known.progress) is JobState.SENT and job_id not in taken:
            yield f"{job_id} is sent, and nobody handed it over"


def _message(stage: Stage, job_id: str, known: JobFacts, said: MessageState | None) -> Iterator[str]:
    expected = said or MessageState.ACCEPTED
    if stage.patience.receipts is not None and expected.rank <= MessageState.SENT.rank:
        expected = MessageState.UNKNOWN
    if stage.patience.silence is not None and known.message < expected.rank:
        # What a receipt said is said once: whoever asks again hears what became of the hand-over.
        return
    if known.message != expected.rank:
        yield f"the message of {job_id} stands at rank {known.message}, the provider's last word is {expected}"


def _retries(stage: Stage) -> Iterator[str]:
    """What was asked to be tried again has been, and status has heard of it."""
    jobs = stage.servers["status"].store.table("jobs")
    for record in stage.broker.records(topics.triggers(Lane.PRIORITY)):
        if record.message_type == RetryRequested.TYPE:
            request = record.decode(RetryRequested)
            for seq in request.seqs:
                progress = jobs[request.execution_id, seq]["facts"].progress
                if state_of(progress) is not JobState.SENT and epoch_of(progress) < request.epoch:
                    yield f"{JobId(request.execution_id, seq)} was asked for again, and is {state_of(progress)}"


def _answers(stage: Stage) -> Iterator[str]:
    """A command that comes again is answered as before, but for jobs that a receipt has proven meanwhile to be sent."""
    answers: defaultdict[tuple[UUID, int, int], set[str]] = defaultdict(set)
    for record in stage.broker.records(topics.DELIVERIES):
        body = orjson.loads(record.value)
        if body["answers_round"] is not None:
            for seq, state in zip(body["jobs"]["seq"], body["jobs"]["state"], strict=True):
                answers[UUID(body["execution_id"]), body["answers_round"], seq].add(state)
    proven = {
        (row["execution_id"], row["round"], seq)
        for server in stage.servers.values()
        for row in server.store.table("waves").values()
        for seq in row["proven"] or ()
    }
    for key, states in answers.items():
        if len(states - {JobState.SENT} if key in proven else states) > 1:
            yield f"{key} was answered {sorted(states)}"


def _epochs(stage: Stage) -> dict[tuple[UUID, int, int], int]:
    epochs = {}
    for topic in topics.catalogue():
        if topic.name.startswith("commands."):
            for record in stage.broker.records(topic.name):
                if record.message_type != JobsCommanded.TYPE:
                    continue
                body = orjson.loads(record.value)
                for seq in body["jobs"]["seq"]:
                    epochs[UUID(body["execution_id"]), body["round"], seq] = body["epoch"]
    return epochs


def _essential_executions(stage: Stage, triggers: Mapping[UUID, TriggerAccepted]) -> set[UUID]:
    return {
        row["execution_id"]
        for row in stage.servers["status"].store.table("executions").values()
        if triggers[row["trigger_id"]].category.is_essential
    }
