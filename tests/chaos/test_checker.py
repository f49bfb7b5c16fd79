"""The checker is given histories with one thing wrong in each, and names it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import chaos
from chaos.checker import check
from chaos.doubts import WAVE
from chaos.findings import Finding, Kind
from chaos.history import (
    Act,
    Action,
    DeadLetter,
    Deferral,
    Disturbance,
    Execution,
    HandOver,
    History,
    Job,
    Leak,
    Loss,
    Policy,
    Refusal,
    Request,
    Sight,
    Trigger,
)
from chaos.receipts import unheard

ADA, BOB, EVE = "+14152000001", "+14152000002", "+14152000003"


HANDS = ("run", "faults", "disk", "__main__")
"""Modules that start a stack and do things to it. All others say what happened, and whether that was right."""

WITNESSES = sorted({file.stem for file in Path(chaos.__file__).parent.glob("*.py")} - set(HANDS))
SHARED = ("aiohttp", "aiokafka", "chaos")
"""All that witnesses import, beside Python's own library: two clients of protocols, and each other."""


@pytest.mark.parametrize("name", WITNESSES)
def test_witnesses_share_no_code_with_what_they_speak_of(name: str) -> None:
    source = Path(chaos.__file__).with_name(f"{name}.py").read_text()
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    packages = {module.partition(".")[0] for module in imported} - sys.stdlib_module_names
    assert packages <= set(SHARED)
    assert not {f"chaos.{hand}" for hand in HANDS} & imported


def job(number: int, address: str, status: str = "sent", code: str | None = None) -> Job:
    return Job(f"job-{number}", "sms", address, status, code)


def request(policy: Policy = Policy.HOLD, *people: str) -> Request:
    return Request("mark-1", "north", "an offer", policy, {"sms": frozenset(people or (ADA, BOB))}, ("trigger-1",))


def execution(*jobs: Job, **counters: int) -> Execution:
    recount = {
        state: sum(each.status == state for each in jobs) for state in ("sent", "failed", "filtered", "cancelled")
    }
    counted = {"total": len(jobs), **recount, "open": len(jobs) - sum(recount.values())}
    return Execution("execution-1", "sms", {**counted, **counters}, jobs)


def trigger(*executions: Execution, status: str = "completed", workspace: str = "north") -> Trigger:
    names = ("total", "sent", "failed", "filtered", "cancelled", "open")
    sums = {name: sum(each.counters[name] for each in executions) for name in names}
    return Trigger("trigger-1", workspace, status, {**sums, "unaccounted": 0}, executions)


def hand_over(address: str, at: float = 100.0, **more: object) -> HandOver:
    return replace(HandOver(at, "north", "sms", "mark-1", address), **more)  # type: ignore[arg-type]


def history(
    *jobs: Job, policy: Policy = Policy.HOLD, got: Sequence[HandOver] = (hand_over(ADA), hand_over(BOB))
) -> History:
    return History(requests=[request(policy)], triggers=[trigger(execution(*jobs))], hand_overs=got)


GOOD = (job(1, ADA), job(2, BOB))


def only(story: History) -> Finding:
    (finding,) = check(story).findings
    return finding


def test_a_history_in_which_all_went_well_has_no_findings() -> None:
    verdict = check(history(*GOOD))
    assert verdict.is_clean
    assert (verdict.triggers, verdict.messages, verdict.uncertain) == (1, 2, 0)


def test_a_history_of_nothing_proves_nothing() -> None:
    assert not check(History()).is_clean


def test_a_trigger_that_was_accepted_and_is_not_there_is_lost() -> None:
    finding = only(replace(history(*GOOD), triggers=[]))
    assert finding.kind is Kind.LOST
    assert "trigger-1" in finding.what


def test_somebody_without_a_job_is_lost() -> None:
    finding = only(history(job(1, ADA), got=[hand_over(ADA)]))
    assert finding.kind is Kind.LOST
    assert "trigger-1" in finding.what
    assert "0002" in finding.what


def test_a_job_that_is_shown_as_sent_and_was_never_handed_over_is_lost() -> None:
    finding = only(history(*GOOD, got=[hand_over(ADA)]))
    assert finding.kind is Kind.LOST
    assert "job-2" in finding.what


def test_a_held_message_that_was_handed_over_twice_is_doubled_whoever_died() -> None:
    story = history(*GOOD, got=[hand_over(ADA), hand_over(BOB), hand_over(BOB, 130.0)])
    story.disturbances = [Disturbance(101.0, 101.0, "sms")]
    finding = only(story)
    assert finding.kind is Kind.DUPLICATED
    assert "job-2" in finding.what


@pytest.mark.parametrize(
    ("disturbance", "doubled"),
    [
        (Disturbance(101.0, 101.0, "sms"), False),
        (Disturbance(95.0, 105.0, "sms", kills=0), False),
        (Disturbance(101.0, 101.0, "email"), True),
        (Disturbance(129.0, 129.0, "sms"), False),
        (Disturbance(141.0, 141.0, "sms"), True),
        (Disturbance(131.0, 131.0, "sms"), True),
        (Disturbance(80.0, 90.0, "sms"), True),
    ],
)
def test_a_code_may_go_out_again_only_when_a_worker_of_its_channel_had_died_with_it(
    disturbance: Disturbance, doubled: bool
) -> None:
    story = history(*GOOD, policy=Policy.RESEND, got=[hand_over(ADA), hand_over(BOB), hand_over(BOB, 140.0)])
    story.disturbances = [disturbance]
    findings = check(story).findings
    assert [finding.kind for finding in findings] == ([Kind.DUPLICATED] if doubled else [])
    assert all("job-2" in finding.what for finding in findings)


def test_a_code_may_go_out_again_when_the_provider_had_swallowed_it() -> None:
    got = [hand_over(ADA), hand_over(BOB, answered=False), hand_over(BOB, 130.0)]
    assert check(history(*GOOD, policy=Policy.RESEND, got=got)).is_clean


def test_a_person_with_two_jobs_is_doubled() -> None:
    finding = only(history(*GOOD, job(3, BOB)))
    assert finding.kind is Kind.DUPLICATED
    assert "trigger-1" in finding.what


def test_a_request_that_became_two_triggers_is_doubled() -> None:
    story = history(*GOOD)
    story.requests = [replace(request(), trigger_ids=("trigger-1", "trigger-2"))]
    assert only(story).kind is Kind.DUPLICATED


def test_a_job_that_stays_open_is_stuck() -> None:
    story = history(job(1, ADA), job(2, BOB, "held"), got=[hand_over(ADA)])
    story.triggers = [replace(story.triggers[0], status="in_progress")]
    findings = check(story).findings
    assert {finding.kind for finding in findings} == {Kind.STUCK}
    assert any("job-2" in finding.what for finding in findings)


@pytest.mark.parametrize("bucket", ["sent", "failed", "filtered", "cancelled"])
def test_a_counter_that_is_not_what_the_jobs_say_is_found(bucket: str) -> None:
    story = history(*GOOD)
    wrong = execution(*GOOD, **{bucket: 1 if bucket == "sent" else 3})
    story.triggers = [trigger(wrong)]
    findings = check(story).findings
    assert {finding.kind for finding in findings} == {Kind.UNACCOUNTED}
    assert any(f"{bucket}=" in finding.what and "execution-1" in finding.what for finding in findings)


def test_a_ledger_that_does_not_balance_is_found() -> None:
    story = history(*GOOD)
    story.triggers = [trigger(execution(*GOOD, total=3))]
    assert any("does not balance" in finding.what for finding in check(story).findings)


def test_sums_of_a_trigger_that_are_not_those_of_its_executions_are_found() -> None:
    story = history(*GOOD)
    right = story.triggers[0]
    story.triggers = [replace(right, ledger={**right.ledger, "sent": 1})]
    assert "sent=1" in only(story).what


def test_jobs_that_nobody_accounts_for_are_found() -> None:
    story = history(*GOOD)
    right = story.triggers[0]
    story.triggers = [replace(right, ledger={**right.ledger, "unaccounted": 2})]
    assert only(story).kind is Kind.UNACCOUNTED


def test_a_job_that_is_shown_as_failed_and_that_the_provider_has_is_found() -> None:
    finding = only(history(job(1, ADA), job(2, BOB, "failed", "provider_error")))
    assert finding.kind is Kind.UNACCOUNTED
    assert "job-2" in finding.what


@pytest.mark.parametrize(
    ("status", "code", "is_lost"),
    [
        ("failed", "uncertain", False),
        ("failed", "recipient_rejected", True),
        ("failed", "retries_exhausted", True),
        ("failed", "internal_error", True),
        ("filtered", "suppressed", True),
        ("cancelled", "cancelled", True),
    ],
)
def test_a_job_that_ended_otherwise_than_sent_although_nothing_happened_to_it_is_lost(
    status: str, code: str, is_lost: bool
) -> None:
    story = history(job(1, ADA), job(2, BOB, status, code), got=[hand_over(ADA)])
    findings = check(story).findings
    assert [finding.kind for finding in findings] == ([Kind.LOST] if is_lost else [])
    assert all("job-2" in finding.what for finding in findings)


def test_a_refusal_of_the_provider_explains_a_failed_job_of_the_same_message_alone() -> None:
    story = history(job(1, ADA), job(2, BOB, "failed", "recipient_rejected"), got=[hand_over(ADA)])
    story.refusals = [Refusal(100.0, "mark-1", "sms", BOB)]
    assert check(story).is_clean
    for other in (Refusal(100.0, "mark-2", "sms", BOB), Refusal(100.0, "mark-1", "sms", ADA)):
        story.refusals = [other]
        assert only(story).kind is Kind.LOST


def test_a_provider_that_asked_to_be_called_again_later_explains_a_job_of_the_same_person_alone() -> None:
    story = history(job(1, ADA), job(2, BOB, "failed", "retries_exhausted"), got=[hand_over(ADA)])
    story.deferrals = [Deferral(100.0, "sms", BOB)]
    assert check(story).is_clean
    for other in (Deferral(100.0, "email", BOB), Deferral(100.0, "sms", ADA)):
        story.deferrals = [other]
        assert only(story).kind is Kind.LOST
    story = history(job(1, ADA), job(2, BOB, "failed", "internal_error"), got=[hand_over(ADA)])
    story.deferrals = [Deferral(100.0, "sms", BOB)]
    assert only(story).kind is Kind.LOST


def test_a_job_that_is_shown_as_sent_and_that_the_provider_swallowed_without_a_word_is_found() -> None:
    finding = only(history(*GOOD, got=[hand_over(ADA), hand_over(BOB, answered=False)]))
    assert finding.kind is Kind.UNACCOUNTED
    assert "job-2" in finding.what


def many_uncertain(number: int, channel: str = "sms") -> History:
    people = [f"+1415200{place:04d}" for place in range(number)]
    jobs = [
        replace(job(place, address, "failed", "uncertain"), channel=channel) for place, address in enumerate(people)
    ]
    asked = replace(request(), people={channel: frozenset(people)})
    shown = trigger(replace(execution(*jobs), channel=channel))
    return History(requests=[asked], triggers=[shown], disturbances=[Disturbance(101.0, 101.0, "sms")])


def test_uncertain_jobs_are_no_more_than_a_wave_for_each_kill_and_what_the_provider_swallowed() -> None:
    story = many_uncertain(WAVE + 2)
    story.hand_overs = [hand_over("+14152000000", answered=False)]
    verdict = check(story)
    assert not verdict.findings
    assert (verdict.uncertain, verdict.excess, verdict.is_clean) == (WAVE + 2, 1, False)


def test_a_kill_explains_nothing_of_another_channel() -> None:
    assert check(many_uncertain(1)).excess == 0
    assert check(many_uncertain(1, "email")).excess == 1


def test_what_a_provider_swallowed_explains_no_other_message() -> None:
    story = many_uncertain(1)
    story.disturbances = []
    story.hand_overs = [hand_over("+14152000000", answered=False)]
    assert check(story).excess == 0
    story.hand_overs = [hand_over("+14152000000"), hand_over(ADA, answered=False)]
    assert check(story).excess == 1


@pytest.mark.parametrize(
    ("kills", "number", "is_too_many"), [(1, WAVE, False), (1, WAVE + 1, True), (2, WAVE + 1, False)]
)
def test_no_more_go_out_again_than_a_worker_had_in_its_hands(kills: int, number: int, is_too_many: bool) -> None:
    people = [f"+1415200{place:04d}" for place in range(number)]
    story = history(*(job(place, address) for place, address in enumerate(people)))
    story.requests = [request(Policy.RESEND, *people)]
    story.hand_overs = [hand_over(address, at) for address in people for at in (100.0, 130.0)]
    story.disturbances = [Disturbance(101.0, 101.0, "sms", kills)]
    assert [finding.kind for finding in check(story).findings] == ([Kind.DUPLICATED] if is_too_many else [])


def test_somebody_elses_row_is_found() -> None:
    story = history(*GOOD)
    story.sights = [Sight("south", "north", "trigger trigger-1")]
    assert only(story).what == "workspace south sees trigger trigger-1 of workspace north"
    story = history(*GOOD, job(3, EVE, "failed", "uncertain"))
    assert "others than asked" in only(story).what
    story = history(*GOOD, got=[hand_over(ADA), hand_over(BOB, workspace="south")])
    assert "left through workspace south" in only(story).what


@pytest.mark.parametrize("stray", [{"mark": "mark-2"}, {"address": EVE}])
def test_a_message_that_nobody_asked_for_is_found(stray: dict[str, str]) -> None:
    story = history(*GOOD, got=[hand_over(ADA), hand_over(BOB), replace(hand_over(BOB), **stray)])
    assert only(story).kind is Kind.UNACCOUNTED


def test_a_trigger_that_nobody_asked_for_is_found() -> None:
    assert "trigger-9" in only(replace(history(*GOOD), unknown_triggers=["trigger-1", "trigger-9"])).what


def test_a_request_that_was_never_answered_is_found() -> None:
    story = replace(history(), triggers=[], hand_overs=[], requests=[replace(request(), trigger_ids=())])
    assert "mark-1" in only(story).what


def test_dead_letters_and_leaks_are_found() -> None:
    story = history(*GOOD)
    story.dead_letters = [DeadLetter("deliveries.dlq", "0:7", "PoisonError: what is this")]
    story.leaks = [Leak("ingest.log", 12, "a code", "request.answered")]
    assert sorted(finding.what for finding in check(story).findings) == [
        "dead letter deliveries.dlq 0:7: PoisonError: what is this",
        "ingest.log:12 shows a code (request.answered)",
    ]


def acted(story: History, *actions: Action) -> History:
    story.requests = [replace(story.requests[0], actions=actions)]
    return story


def cut_short(*jobs: Job, total: int, got: Sequence[HandOver] = ()) -> History:
    """A trigger for two that was cancelled at 100, and that counts those it never came to as cancelled."""
    counted = execution(*jobs)
    never = total - len(jobs)
    counters = {**counted.counters, "total": total, "cancelled": counted.counters["cancelled"] + never}
    story = history(got=got)
    story.triggers = [trigger(replace(counted, counters=counters), status="cancelled")]
    return acted(story, Action(Act.CANCEL, 99.0, 99.5, 100.0))


def test_a_cancelled_trigger_accounts_for_everybody_it_never_came_to() -> None:
    assert check(cut_short(job(1, ADA), total=2, got=[hand_over(ADA, 99.0)])).is_clean
    assert check(cut_short(job(1, ADA), job(2, BOB, "cancelled"), total=2, got=[hand_over(ADA, 99.0)])).is_clean


def test_a_step_that_had_not_begun_when_its_trigger_was_cancelled_counts_nobody() -> None:
    story = cut_short(job(1, ADA), job(2, BOB), total=2)
    story.hand_overs = [hand_over(ADA, 99.0), hand_over(BOB, 99.0)]
    later = replace(execution(), id="execution-2", channel="email")
    story.triggers = [trigger(story.triggers[0].executions[0], later, status="cancelled")]
    people = {"sms": frozenset({ADA, BOB}), "email": frozenset({"ada@example.test"})}
    story.requests = [replace(story.requests[0], people=people)]
    assert check(story).is_clean


def test_somebody_whom_a_cancelled_trigger_does_not_count_is_lost() -> None:
    finding = only(cut_short(job(1, ADA), total=1, got=[hand_over(ADA, 99.0)]))
    assert finding.kind is Kind.LOST
    assert "0002" in finding.what


def test_a_trigger_that_nobody_cancelled_and_that_shows_as_cancelled_is_found() -> None:
    story = history(job(1, ADA, "cancelled"), job(2, BOB, "cancelled"), got=[])
    story.triggers = [replace(story.triggers[0], status="cancelled")]
    assert "nobody asked for it" in only(story).what


def test_a_cancelled_trigger_that_has_open_jobs_is_stuck() -> None:
    story = cut_short(job(1, ADA, "held"), job(2, BOB, "cancelled"), total=2)
    assert {finding.kind for finding in check(story).findings} == {Kind.STUCK}


def test_a_message_that_is_shown_as_cancelled_and_that_the_provider_has_is_found() -> None:
    story = cut_short(job(1, ADA, "cancelled"), total=2, got=[hand_over(ADA, 99.0)])
    assert "the provider has it" in only(story).what


def test_a_message_to_somebody_whom_a_cancelled_trigger_has_no_row_of_is_found() -> None:
    finding = only(cut_short(job(1, ADA), total=2, got=[hand_over(ADA, 99.0), hand_over(BOB, 99.0)]))
    assert finding.kind is Kind.UNACCOUNTED
    assert "0002" in finding.what
    twice = cut_short(job(1, ADA), total=2, got=[hand_over(ADA, 99.0), hand_over(BOB, 99.0), hand_over(BOB, 99.1)])
    assert Kind.DUPLICATED in {finding.kind for finding in check(twice).findings}


@pytest.mark.parametrize(("at", "is_late"), [(100.5, False), (159.0, False), (161.0, True)])
def test_nothing_leaves_long_after_a_trigger_is_shown_as_cancelled(at: float, is_late: bool) -> None:
    story = cut_short(job(1, ADA), total=2, got=[hand_over(ADA, at)])
    assert [finding.kind for finding in check(story, 60.0).findings] == ([Kind.UNACCOUNTED] if is_late else [])


@pytest.mark.parametrize(("at", "is_late"), [(110.0, False), (170.0, True), (210.0, False)])
def test_nothing_leaves_while_a_trigger_is_paused(at: float, is_late: bool) -> None:
    story = history(*GOOD, got=[hand_over(ADA, 99.0), hand_over(BOB, at)])
    acted(story, Action(Act.PAUSE, 99.0, 99.5, 100.0), Action(Act.RESUME, 200.0, 200.5))
    assert [finding.kind for finding in check(story, 60.0).findings] == ([Kind.UNACCOUNTED] if is_late else [])


def test_a_paused_trigger_that_does_not_go_on_after_it_was_resumed_is_stuck() -> None:
    story = history(job(1, ADA), job(2, BOB, "held"), got=[hand_over(ADA)])
    story.triggers = [replace(story.triggers[0], status="processing")]
    acted(story, Action(Act.PAUSE, 99.0, 99.5, 100.0), Action(Act.RESUME, 200.0, 200.5))
    assert {finding.kind for finding in check(story).findings} == {Kind.STUCK}


@pytest.mark.parametrize(
    ("refused_at", "accepted_at", "is_lost"), [(100.0, 110.5, True), (100.0, None, False), (120.0, 110.5, False)]
)
def test_a_refused_job_is_tried_again_when_somebody_asks_for_it(
    refused_at: float, accepted_at: float | None, is_lost: bool
) -> None:
    story = history(job(1, ADA), job(2, BOB, "failed", "recipient_rejected"), got=[hand_over(ADA)])
    story.refusals = [Refusal(refused_at, "mark-1", "sms", BOB)]
    acted(story, Action(Act.RETRY, 110.0, accepted_at))
    findings = check(story).findings
    assert [finding.kind for finding in findings] == ([Kind.LOST] if is_lost else [])
    assert all("job-2" in finding.what for finding in findings)


@pytest.mark.parametrize(
    ("disturbance", "retried_at", "doubled"),
    [(101.0, 120.0, False), (101.0, 140.0, True), (80.0, 120.0, True), (135.0, 120.0, True)],
)
def test_a_retry_sends_again_only_what_was_in_doubt_by_then(
    disturbance: float, retried_at: float, doubled: bool
) -> None:
    story = history(*GOOD, got=[hand_over(ADA), hand_over(BOB), hand_over(BOB, 130.0)])
    story.disturbances = [Disturbance(disturbance, disturbance, "sms")]
    acted(story, Action(Act.RETRY, retried_at, retried_at))
    assert [finding.kind for finding in check(story).findings] == ([Kind.DUPLICATED] if doubled else [])


def told(*trigger_ids: str, **more: object) -> History:
    story = history(*GOOD)
    story.requests = [replace(request(), trigger_ids=trigger_ids, **{"event_ids": ("event-1",), **more})]  # type: ignore[arg-type]
    return story


def test_an_event_leads_to_one_trigger() -> None:
    assert check(told("trigger-1")).is_clean
    assert check(told("trigger-1", event_ids=("event-1", "event-1"))).is_clean


def test_an_event_that_started_nothing_is_lost() -> None:
    story = told()
    story.triggers, story.hand_overs = [], []
    finding = only(story)
    assert finding.kind is Kind.LOST
    assert "event-1" in finding.what


@pytest.mark.parametrize("ids", [{"trigger_ids": ("trigger-1", "trigger-2")}, {"event_ids": ("event-1", "event-2")}])
def test_an_event_that_counts_twice_is_doubled(ids: dict[str, tuple[str, ...]]) -> None:
    story = told("trigger-1")
    story.requests = [replace(story.requests[0], **ids)]  # type: ignore[arg-type]
    assert only(story).kind is Kind.DUPLICATED


@pytest.mark.parametrize("topic", ["receipts.sms", "deliveries"])
@pytest.mark.parametrize(("lost_at", "is_lost"), [(None, True), (104.0, True), (106.0, False)])
def test_a_receipt_that_was_taken_shows_unless_its_log_was_lost_afterwards(
    topic: str, lost_at: float | None, is_lost: bool
) -> None:
    jobs = (replace(GOOD[0], message="delivered"), replace(GOOD[1], message="accepted"))
    story = history(*jobs, got=[hand_over(ADA, receipt_at=105.0), hand_over(BOB, receipt_at=105.0)])
    story.losses = [Loss(lost_at, topic)] if lost_at else []
    findings = check(story).findings
    assert [finding.kind for finding in findings] == ([Kind.LOST] if is_lost else [])
    assert all("job-2" in finding.what for finding in findings)
    assert unheard(story) == ({"trigger-1"} if is_lost else set())
