"""The last line of a run."""

from __future__ import annotations

from chaos.checker import Verdict
from chaos.findings import Finding, Kind
from chaos.report import Outcome, findings, last_line, table
from chaos.tally import Tally


def test_the_last_line_sums_up_all_seeds() -> None:
    found = [Finding(Kind.STUCK, "a"), Finding(Kind.STUCK, "b"), Finding(Kind.LOST, "c")]
    outcomes = [
        Outcome(7, {"kill -9 ingest": Tally(2, 2), "rebalances": Tally(1)}, Verdict([], 10, 20, 3, 0)),
        Outcome(8, {"kill -9 ingest": Tally(1, 1)}, Verdict(found, 5, 6, 0, 0)),
    ]
    assert last_line(outcomes) == (
        "chaos: kills=3 faults=4 triggers=15 messages=26 uncertain=3 lost=1 duplicated=0 unaccounted=0 stuck=2"
    )


def test_a_fault_that_could_not_be_done_says_why_in_the_table() -> None:
    lines = list(table({"full disk for Postgres": Tally(remarks=["not run: only root may mount"])}))
    assert lines[1].endswith("not run: only root may mount")


def test_too_many_uncertain_jobs_are_a_finding_and_make_a_run_fail() -> None:
    verdict = Verdict([], 1, 60, 60, 10)
    assert not verdict.is_clean
    assert list(findings(verdict)) == ["  uncertain: 10 jobs more than the kills of their workers can explain"]


def test_a_run_without_messages_fails_and_says_why() -> None:
    verdict = Verdict([], 0, 0, 0, 0)
    assert not verdict.is_clean
    assert list(findings(verdict)) == ["  nobody was sent anything: this run says nothing"]


def test_a_fault_that_could_not_be_done_makes_a_run_fail() -> None:
    tally = Tally(failures=["TimeoutError: it never came to pass that all brokers run"])
    outcome = Outcome(7, {"rebalances": tally}, Verdict([], 1, 1, 0, 0))
    assert not outcome.is_clean
    assert "FAILED: TimeoutError" in list(table(outcome.tallies))[1]
