"""Frequency caps and budgets: counted once a message, over all channels, also where campaigns run at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from sluice_catalog.models import Budget, FrequencyCap, WorkspaceSettings
from sluice_contracts.vocabulary import Category, Channel, FilterCode, JobState

pytestmark = pytest.mark.integration

PRICE = 8300
CONTACTS = [uuid4() for _ in range(60)]


def limit(bench, worker, caps: tuple[FrequencyCap, ...] = (), budget: Budget | None = None) -> None:
    """Give the workspace these limits."""
    settings = WorkspaceSettings(bench.workspace, frequency_caps=caps, budget=budget)

    async def workspace_settings(_: UUID) -> WorkspaceSettings:
        return settings

    worker.catalog.workspace_settings = workspace_settings


def to_the_same(bench, size: int = 3, **changes):
    return bench.command(size, columns={"contact_id": CONTACTS[:size], **changes.pop("columns", {})}, **changes)


async def test_a_contact_gets_no_more_than_the_cap_allows(bench) -> None:
    worker = await bench.worker()
    limit(bench, worker, (FrequencyCap(2, 24),))
    for _ in range(2):
        assert {r.state for r in await bench.carry_out(to_the_same(bench), worker)} == {JobState.SENT}
    assert {r.code for r in await bench.carry_out(to_the_same(bench), worker)} == {FilterCode.FREQUENCY_CAPPED}
    bench.clock.advance(timedelta(hours=25))
    assert {r.state for r in await bench.carry_out(to_the_same(bench), worker)} == {JobState.SENT}


async def test_a_code_is_not_capped(bench) -> None:
    worker = await bench.worker()
    limit(bench, worker, (FrequencyCap(1, 24),))
    for _ in range(2):
        command = to_the_same(bench, category=Category.AUTHENTICATION)
        assert {r.state for r in await bench.carry_out(command, worker)} == {JobState.SENT}


async def test_a_cap_on_another_channel_says_nothing_here(bench) -> None:
    worker = await bench.worker()
    limit(bench, worker, (FrequencyCap(1, 24, Channel.EMAIL),))
    for _ in range(2):
        assert {r.state for r in await bench.carry_out(to_the_same(bench), worker)} == {JobState.SENT}


async def test_a_cap_over_all_channels_counts_the_others(bench) -> None:
    worker = await bench.worker()
    limit(bench, worker, (FrequencyCap(1, 24),))
    await bench.execute(
        "INSERT INTO channel_email.allowances VALUES ($1, 0, $2, $3, $4, 0)",
        uuid4(), bench.workspace, str(CONTACTS[0]), bench.clock.now(),
    )  # fmt: skip
    reports = await bench.carry_out(to_the_same(bench, 2), worker)
    assert [report.code for report in reports] == [FilterCode.FREQUENCY_CAPPED, None]


async def test_a_repeat_and_a_retry_count_once(bench) -> None:
    worker = await bench.worker()
    limit(bench, worker, (FrequencyCap(1, 24),), Budget(PRICE * 3, "day"))
    command = to_the_same(bench)
    await bench.carry_out(command, worker)
    await bench.carry_out(command, worker)
    later = command.model_copy(update={"round": 1})
    assert {r.state for r in await bench.carry_out(later, worker)} == {JobState.SENT}
    assert [row["cost_micros"] for row in await bench.fetch("SELECT cost_micros FROM spending")] == [PRICE * 3]
    assert len(await bench.fetch("SELECT 1 FROM allowances")) == 3


async def test_a_budget_is_never_overspent(bench) -> None:
    worker = await bench.worker()
    limit(bench, worker, budget=Budget(PRICE * 4, "month"))
    first = await bench.carry_out(bench.command(3), worker)
    second = await bench.carry_out(bench.command(3), worker)
    assert {r.state for r in first} == {JobState.SENT}
    assert [r.code for r in second] == [None, FilterCode.BUDGET_EXCEEDED, FilterCode.BUDGET_EXCEEDED]
    bench.clock.advance(timedelta(days=31))
    assert {r.state for r in await bench.carry_out(bench.command(3), worker)} == {JobState.SENT}


async def test_two_campaigns_at_once_do_not_both_get_the_last_message(bench) -> None:
    workers = [await bench.worker() for _ in range(4)]
    for worker in workers:
        limit(bench, worker, (FrequencyCap(1, 24),), Budget(PRICE * 1000, "day"))
    commands = [to_the_same(bench, 50) for _ in workers]
    answers = await asyncio.gather(
        *(bench.carry_out(command, worker) for command, worker in zip(commands, workers, strict=True))
    )
    sent = [report for reports in answers for report in reports if report.state is JobState.SENT]
    assert len(sent) == 50


async def test_the_cap_is_named_before_the_gates_behind_it(bench) -> None:
    worker = await bench.worker()
    limit(bench, worker, (FrequencyCap(1, 24),))
    await bench.carry_out(to_the_same(bench), worker)
    reports = await bench.carry_out(to_the_same(bench, expires_at=bench.clock.now()), worker)
    assert {report.code for report in reports} == {FilterCode.FREQUENCY_CAPPED}
    dry = await bench.carry_out(to_the_same(bench, dry_run=True, columns={"contact_id": CONTACTS[10:13]}), worker)
    assert {report.code for report in dry} == {FilterCode.DRY_RUN}
    assert len(await bench.fetch("SELECT 1 FROM allowances")) == 3


async def test_nothing_is_counted_where_nothing_is_limited(bench) -> None:
    await bench.carry_out(bench.command(3))
    assert not await bench.fetch("SELECT 1 FROM allowances")
