"""The checker is given histories with one thing wrong in each, and names it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import chaos
from chaos.checker import WAVE, Finding, Kind, check
from chaos.history import (
    DeadLetter,
    Disturbance,
    Execution,
    HandOver,
    History,
    Job,
    Leak,
    Policy,
    Request,
    Sight,
    Trigger,
)

ADA, BOB, EVE = "+14152000001", "+14152000002", "+14152000003"


WITNESSES = ("history", "checker", "leaks", "caller", "evidence", "journal", "load", "people", "carrier", "relay")
"""Modules that say what happened, and whether that was right."""


@pytest.mark.parametrize("name", WITNESSES)
def test_witnesses_share_no_code_with_what_they_speak_of(name: str) -> None:
    source = Path(chaos.__file__).with_name(f"{name}.py").read_text()
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported
    assert not [module for module in imported if module.startswith(("sluice_", "channel_", "ingest", "orchestrator"))]


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
        (Disturbance(131.0, 131.0, "sms"), True),
        (Disturbance(120.0, 120.0, "sms"), True),
        (Disturbance(80.0, 90.0, "sms"), True),
    ],
)
def test_a_code_may_go_out_again_only_when_a_worker_of_its_channel_had_died_with_it(
    disturbance: Disturbance, doubled: bool
) -> None:
    story = history(*GOOD, policy=Policy.RESEND, got=[hand_over(ADA), hand_over(BOB), hand_over(BOB, 130.0)])
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


def test_uncertain_jobs_are_no_more_than_a_wave_for_each_kill_and_what_the_provider_swallowed() -> None:
    people = [f"+1415200{place:04d}" for place in range(WAVE + 2)]
    jobs = [job(place, address, "failed", "uncertain") for place, address in enumerate(people)]
    story = History(
        requests=[request(Policy.HOLD, *people)],
        triggers=[trigger(execution(*jobs))],
        hand_overs=[hand_over(people[0], answered=False)],
        disturbances=[Disturbance(101.0, 101.0, "sms")],
    )
    verdict = check(story)
    assert not verdict.findings
    assert (verdict.uncertain, verdict.excess, verdict.is_clean) == (WAVE + 2, 1, False)


def test_somebody_elses_row_is_found() -> None:
    story = history(*GOOD)
    story.sights = [Sight("south", "north", "trigger trigger-1")]
    assert only(story).what == "workspace south sees trigger trigger-1 of workspace north"
    story = history(*GOOD, job(3, EVE, "filtered"))
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
