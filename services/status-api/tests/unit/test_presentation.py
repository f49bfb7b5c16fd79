"""What the reference leaves open: statuses on the way, sums that hold, masking, gates and timelines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.base import format_instant
from sluice_contracts.identifiers import execution_id_for
from sluice_contracts.vocabulary import Category, Channel, FilterCode, FlowType, JobState, MessageState, WorkflowType
from status_api.domain.fold import TimelineEntry
from status_api.domain.overview import overview
from status_api.domain.presentation.analytics import Place, analytics
from status_api.domain.presentation.contact import gates_of, present_contact, timeline_of
from status_api.domain.presentation.direct import present_direct
from status_api.domain.presentation.jobs import present_job
from status_api.domain.presentation.ledger import present_ledger
from status_api.domain.presentation.parts import filter_reasons, instant_of_milliseconds
from status_api.domain.presentation.trigger import present_trigger
from status_api.domain.presentation.workflow import present_workflow
from status_api.domain.progress import pack
from status_api.domain.rows import ExecutionRow, JobRow, MessageCounts, ReasonRow, TriggerRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRIGGER, EXECUTION = UUID(int=1), UUID(int=2)


def trigger(**values: Any) -> TriggerRow:
    defaults: dict[str, Any] = {
        "trigger_id": TRIGGER,
        "workspace_id": UUID(int=9),
        "version": 1,
        "accepted_at": NOW,
        "flow_type": FlowType.DIRECT_CHANNEL,
        "category": Category.MARKETING,
        "channel": Channel.SMS,
    }
    return TriggerRow(**defaults | values)


def workflow(**values: Any) -> TriggerRow:
    steps = {"flow_type": FlowType.WORKFLOW, "channel": None, "workflow_type": WorkflowType.STEPS, "planned_at": NOW}
    return trigger(**steps | values)


def execution(**values: Any) -> ExecutionRow:
    defaults: dict[str, Any] = {"execution_id": EXECUTION, "trigger_id": TRIGGER, "channel": Channel.SMS}
    return ExecutionRow(**defaults | values)


def job(**values: Any) -> JobRow:
    defaults: dict[str, Any] = dict.fromkeys(JobRow._fields)
    numbers = {"execution_id": EXECUTION, "seq": 7, "progress": 0, "message": 0, "engagements": 0, "timeline": {}}
    return JobRow(**defaults | numbers | values)


def job_at(state: JobState, code: str | None = None, detail: str | None = None, **values: Any) -> JobRow:
    progress = pack(0, state, 1)
    key = f"{progress}:{code}" if state is JobState.HELD else str(progress)
    return job(progress=progress, timeline={key: TimelineEntry(1_000, code, detail)}, **values)


def test_a_direct_trigger_shows_its_execution_before_it_is_planned() -> None:
    body = present_direct(overview(trigger(requested_contacts=3), []), [], unmasked=True)
    assert body["execution"]["id"] == str(execution_id_for(TRIGGER, 1, "sms"))
    assert (body["execution"]["status"], body["execution"]["started_at"]) == ("pending", None)
    assert (body["jobs"]["total"], body["jobs"]["open"]) == (3, 3)


def test_jobs_that_are_not_in_the_list_are_counted() -> None:
    """Of ten, three were sent, two are held, two were cancelled, one of them by its worker: four have no row."""
    part = execution(started_at=NOW, expected=10, commanded_total=10, sent=3, held=2, cancelled=1, never_commanded=1)
    jobs = present_direct(overview(trigger(), [part]), [], unmasked=True)["jobs"]
    assert (jobs["total"], jobs["cancelled"], jobs["open"], jobs["unlisted"]) == (10, 2, 5, 4)
    done = execution(started_at=NOW, commanded_total=4, sent=3, filtered=1)
    assert present_direct(overview(trigger(), [done]), [], unmasked=True)["jobs"]["unlisted"] == 0


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_763_740_000_123, -1, 253_402_300_799_999, -62_135_596_800_000])
def test_milliseconds_read_as_the_time_they_are(milliseconds: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert instant_of_milliseconds(milliseconds) == format_instant(at)


@pytest.mark.parametrize("milliseconds", [253_402_300_800_000, -62_135_596_800_001, 2**62])
def test_a_time_that_no_calendar_reaches_reads_as_none(milliseconds: int) -> None:
    assert instant_of_milliseconds(milliseconds) is None


def test_a_pending_trigger_shows_null_where_nothing_is_known() -> None:
    body = present_trigger(overview(trigger(requested_contacts=1), []))
    assert body["status"] == "pending"
    for key in ("started_at", "completed_at", "duration_seconds", "queue_seconds"):
        assert body[key] is None
    assert body["summary"] == {"total_contacts": 1, "sent": 0, "failed": 0, "filtered": 0}


def test_a_trigger_with_open_jobs_has_no_end() -> None:
    running = execution(started_at=NOW, commanded_total=2, sent=1, last_ended_at=NOW)
    body = present_trigger(overview(trigger(planned_at=NOW), [running]))
    assert (body["status"], body["completed_at"], body["duration_seconds"]) == ("processing", None, None)


def test_reports_that_come_before_the_plan_show_a_trigger_at_work() -> None:
    body = present_trigger(overview(workflow(planned_at=None), [execution(sent=1, commanded_total=1)]))
    assert body["status"] == "processing"


def test_a_workflow_before_its_plan_has_no_steps() -> None:
    body = present_workflow(overview(workflow(planned_at=None, workflow_type=None, workflow_name="Welcome"), []))
    assert (body["workflow_type"], body["steps"], body["totals"]["steps_total"]) == (None, [], 0)


def test_a_cancelled_trigger_that_never_started_ends_when_it_was_cancelled() -> None:
    cancelled = trigger(planned_at=NOW, cancelled_at=NOW + timedelta(seconds=3))
    never = execution(commanded_total=5, never_commanded=5, commanded_at=NOW + timedelta(seconds=2))
    body = present_trigger(overview(cancelled, [never]))
    assert (body["status"], body["completed_at"]) == ("cancelled", "2026-01-01T00:00:03.000Z")


def test_a_trigger_that_failed_before_its_plan_says_so() -> None:
    body = present_trigger(overview(workflow(planned_at=None, failed_at=NOW), []))
    assert (body["status"], body["completed_at"]) == ("failed", "2026-01-01T00:00:00.000Z")


def test_no_step_is_scheduled_while_the_trigger_is_paused() -> None:
    first = execution(step_order=1, started_at=NOW, commanded_total=1, sent=1)
    second = execution(execution_id=UUID(int=3), step_order=2, scheduled_for=NOW)
    paused = workflow(paused_at=NOW)
    steps = present_workflow(overview(paused, [first, second]))["steps"]
    assert [step["status"] for step in steps] == ["completed", "pending"]
    resumed = workflow(paused_at=NOW, resumed_at=NOW + timedelta(seconds=1))
    steps = present_workflow(overview(resumed, [first, second]))["steps"]
    assert [step["status"] for step in steps] == ["completed", "scheduled"]


counts = st.integers(0, 50)
executions = st.builds(
    execution,
    channel=st.sampled_from(Channel),
    expected=st.none() | st.integers(0, 400),
    commanded_total=st.none() | st.integers(0, 400),
    never_commanded=st.none() | counts,
    cancelled=counts,
    filtered=counts,
    failed=counts,
    messages=st.builds(MessageCounts, *[counts] * 9),
    started_at=st.none() | st.just(NOW),
)


def _with_sent(row: ExecutionRow) -> ExecutionRow:
    messages = row.messages
    sent = messages.reached + messages.negative + messages.awaiting_receipt
    return ExecutionRow(**{name: getattr(row, name) for name in row.__dataclass_fields__} | {"sent": sent})


@given(executions.map(_with_sent), st.sampled_from(["direct", "step", "group"]))
def test_sent_is_always_delivered_and_negative_and_awaited(row: ExecutionRow, place: Place) -> None:
    numbers = analytics(row, place)
    negative = numbers.get("bounced", 0) + numbers.get("failed", 0)
    assert numbers["sent"] == numbers["delivered"] + negative + numbers["awaiting_receipt"]
    assert numbers["unknown"] <= numbers["awaiting_receipt"]


@given(executions.map(_with_sent))
def test_the_ledger_always_balances(row: ExecutionRow) -> None:
    body = present_ledger(overview(trigger(planned_at=NOW, channel=row.channel), [row]), [], unmasked=True)
    for part in (body, *body["executions"]):
        assert part["total"] == sum(part[key] for key in ("sent", "failed", "filtered", "cancelled", "open"))
        assert min(part[key] for key in ("sent", "failed", "filtered", "cancelled", "open")) >= 0


def test_more_outcomes_than_were_commanded_show_as_unaccounted() -> None:
    row = execution(started_at=NOW, commanded_total=2, sent=3, messages=MessageCounts(delivered=3))
    assert present_ledger(overview(trigger(planned_at=NOW), [row]), [], unmasked=True)["unaccounted"] == -1


def test_addresses_are_masked_for_who_may_not_see_them() -> None:
    row = job_at(JobState.SENT, address="+14155550123", external_id="user_1")
    assert present_job(row, Channel.SMS, unmasked=True)["phone_number"] == "+14155550123"
    masked = present_job(row, Channel.SMS, unmasked=False)
    assert "5550123" not in str(masked)
    assert masked["external_id"] == "user_1"
    reason = ReasonRow(EXECUTION, JobState.FILTERED, "invalid_address", "+14155550123 is no number", 1, ("a@b.test",))
    assert "4155550123" not in str(filter_reasons([reason], unmasked=False))
    assert "a@b.test" not in str(filter_reasons([reason], unmasked=False))


def test_a_filtered_job_names_its_address_and_reason_as_callers_read_them() -> None:
    detail = "No approved SMS template for country: IN"
    body = present_job(job_at(JobState.FILTERED, "no_template_for_country", detail), Channel.SMS, unmasked=True)
    assert (body["status"], body["filter_reason"], body["failure_reason"]) == ("filtered", detail, None)
    assert "phone_number" in body
    assert "email" in present_job(job(), Channel.EMAIL, unmasked=True)


def test_a_code_without_a_sentence_gets_ours() -> None:
    body = present_job(job_at(JobState.FILTERED, "excluded"), Channel.SMS, unmasked=True)
    assert body["filter_reason"] == "The contact is on the trigger's exclusion list"


def test_a_job_held_for_a_person_shows_no_time_at_which_it_goes_on() -> None:
    paused = present_job(job_at(JobState.HELD, "paused", until=5_000), Channel.SMS, unmasked=True)
    assert (paused["hold_code"], paused["held_until"]) == ("paused", None)
    rated = present_job(job_at(JobState.HELD, "rate", until=5_000), Channel.SMS, unmasked=True)
    assert rated["held_until"] == "1970-01-01T00:00:05.000Z"


def test_an_undelivered_message_shows_the_providers_code() -> None:
    timeline = {"undelivered": TimelineEntry(2_000, "30003", "Unreachable")}
    row = job(progress=pack(0, JobState.SENT, 1), message=MessageState.UNDELIVERED.rank, timeline=timeline)
    body = present_job(row, Channel.SMS, unmasked=True)
    assert (body["message_status"], body["message_code"], body["message_reason"]) == (
        "undelivered",
        "30003",
        "Unreachable",
    )


@pytest.mark.parametrize("milliseconds", [2**62, -(2**62)])
def test_a_time_that_no_calendar_knows_is_null(milliseconds: int) -> None:
    assert instant_of_milliseconds(milliseconds) is None


def test_a_filtered_job_passed_every_gate_before_the_one_it_failed() -> None:
    gates = gates_of(job_at(JobState.FILTERED, "no_address_for_channel"), Category.MARKETING)
    assert [gate["result"] for gate in gates] == ["passed"] * (len(gates) - 1) + ["failed"]
    assert gates[-1]["gate"] == "no_address_for_channel"
    assert gates[0]["gate"] == "cancelled"


def test_gates_that_do_not_apply_to_essential_messages_are_named_so() -> None:
    gates = {gate["gate"]: gate["result"] for gate in gates_of(job_at(JobState.SENT), Category.AUTHENTICATION)}
    assert gates["outside_window"] == gates["frequency_capped"] == "not_applicable"
    assert gates["suppressed_stop"] == "passed"


def test_a_dry_run_passed_every_gate() -> None:
    *passed, last = gates_of(job_at(JobState.FILTERED, "dry_run"), Category.MARKETING)
    assert {gate["result"] for gate in passed} == {"passed"}
    assert (last["gate"], last["result"]) == ("dry_run", "failed")
    assert len(passed) == len(FilterCode) - 1


def test_a_job_that_waits_for_its_window_stands_before_that_gate() -> None:
    gates = [gate["gate"] for gate in gates_of(job_at(JobState.HELD, "outside_window"), Category.MARKETING)]
    assert gates[-1] == "template_missing_variable"


def test_a_timeline_runs_from_the_first_attempt_to_the_last_engagement() -> None:
    progress = pack(0, JobState.SENT, 2)
    timeline = {
        "opened": TimelineEntry(9_000),
        "delivered": TimelineEntry(5_000),
        str(progress): TimelineEntry(3_000, None, None, "sandbox", "SM1"),
        f"{pack(0, JobState.HELD, 1)}:retry": TimelineEntry(1_000, "retry", "HTTP 500"),
    }
    events = timeline_of(job(progress=progress, timeline=timeline), unmasked=True)
    assert [(event["kind"], event["event"]) for event in events] == [
        ("job", "held"),
        ("job", "sent"),
        ("receipt", "delivered"),
        ("engagement", "opened"),
    ]
    assert (events[1]["attempt"], events[1]["provider_id"]) == (2, "SM1")


def test_a_contact_shows_one_entry_a_step() -> None:
    first = execution(step_order=1, step_id="a", channel=Channel.EMAIL)
    second = execution(execution_id=UUID(int=3), step_order=2, step_id="b")
    jobs = [job(execution_id=UUID(int=3)), job()]
    body = present_contact(overview(workflow(), [first, second]), "user_1", jobs, unmasked=True)
    assert [entry["step_id"] for entry in body["jobs"]] == ["a", "b"]
