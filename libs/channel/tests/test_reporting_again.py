"""Somebody has missed reports and asks: the ledger says again what it knows, and hands nothing over."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sluice_channel.provider import Accepted, OutboundMessage, Outcome, Retry
from sluice_contracts import topics
from sluice_contracts.messages.command import JobsCommanded, ReportsRequested
from sluice_contracts.vocabulary import Channel, JobState, Lane
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record, outbound

pytestmark = pytest.mark.integration


def request(command: JobsCommanded, **changes: Any) -> Record:
    asked = ReportsRequested(
        workspace_id=command.workspace_id, trigger_id=command.trigger_id, execution_id=command.execution_id,
        channel=Channel.SMS, requested_at=command.accepted_at,
    ).model_copy(update=changes)  # fmt: skip
    sent = outbound(topics.commands(Channel.SMS, Lane.BULK), asked)
    return Record(sent.topic, 0, 0, sent.key, sent.value, dict(sent.headers), 0)


async def answered(bench: Any, *commands: JobsCommanded) -> Any:
    worker = await bench.worker()
    for command in commands:
        await worker.commands.handle(bench.record(command))
    return worker


async def test_what_was_reported_is_reported_again_word_for_word_and_answers_no_command(bench) -> None:
    command = bench.command(120)
    worker = await answered(bench, command)
    await worker.commands.handle(request(command))
    first, *again = bench.reports()
    assert [len(report.jobs.seq) for report in again] == [50, 50, 20]
    for column in type(first.jobs).model_fields:
        said_again = [value for report in again for value in getattr(report.jobs, column)]
        assert said_again == getattr(first.jobs, column), column
    assert {report.answers_round for report in again} == {None}
    assert {(report.workspace_id, report.trigger_id, report.page) for report in again} == {
        (command.workspace_id, command.trigger_id, 0)
    }
    assert len(bench.provider.handed_over) == 120


async def test_only_pages_of_which_the_ledger_knows_more_are_reported_again(bench) -> None:
    first = bench.command(200)
    second = bench.command(3, first=200, execution_id=first.execution_id)
    third = bench.command(2, first=400, execution_id=first.execution_id)
    worker = await answered(bench, first, second, third)
    for known, pages in (
        ({}, {0, 1, 2}),
        ({"ended": [200]}, {1, 2}),
        ({"ended": [199, 3]}, {0, 2}),
        ({"ended": [200, 3], "and_later": False}, set()),
        ({"first_page": 1, "ended": [2], "and_later": False}, {1}),
        ({"ended": [200, 3, 2]}, set()),
    ):
        before = Counter(report.page for report in bench.reports())
        await worker.commands.handle(request(first, **known))
        assert (Counter(report.page for report in bench.reports()) - before).keys() == pages, known


async def test_jobs_that_wait_are_not_spoken_of_and_come_with_their_last_round(bench) -> None:
    def script(message: OutboundMessage) -> Outcome:
        return Retry("busy", "come back", 5.0) if message.address.endswith("0001") else Accepted("id")

    bench.provider.script = script
    command = bench.command(3)
    worker = await answered(bench, command)
    await worker.commands.handle(request(command))
    assert bench.reports()[-1].jobs.seq == [0, 2]

    bench.provider.script = lambda message: Accepted("late")
    again = bench.command(
        1, first=1, execution_id=command.execution_id, trigger_id=command.trigger_id, round=1,
        columns={"attempts": [1]},
    )  # fmt: skip
    await worker.commands.handle(bench.record(again))
    before = len(bench.reports())
    await worker.commands.handle(request(command, ended=[2]))
    reports = bench.reports()[before:]
    assert [report.jobs.seq for report in reports] == [[0, 2], [1]]
    assert {state for report in reports for state in report.jobs.state} == {JobState.SENT}


async def test_what_is_still_under_way_is_not_reported(bench) -> None:
    command = bench.command(3)
    await answered(bench, command)
    await bench.execute("UPDATE waves SET recorded_at = NULL")
    worker = await bench.worker()
    before = len(bench.reports())
    await worker.commands.handle(request(command))
    assert len(bench.reports()) == before


async def test_a_request_in_the_name_of_another_workspace_is_told_nothing(bench) -> None:
    command = bench.command(3)
    worker = await answered(bench, command)
    before = len(bench.reports())
    await worker.commands.handle(request(command, workspace_id=command.trigger_id))
    assert len(bench.reports()) == before


async def test_a_request_to_another_channel_is_poison(bench) -> None:
    worker = await bench.worker()
    with pytest.raises(PoisonError):
        await worker.commands.handle(request(bench.command(1), channel=Channel.EMAIL))
