"""Nobody is messaged twice: a worker dies at every step, and another one carries on."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from asyncpg.pool import PoolConnectionProxy

from sluice_channel.arrivals import Arrival
from sluice_channel.command_run import CommandRun
from sluice_channel.domain.outcomes import MAX_UNCLEAR_ATTEMPTS
from sluice_channel.ledger import Ledger
from sluice_channel.provider import Accepted, Ambiguous, OutboundMessage, Outcome, RejectRecipient
from sluice_channel.recording import UnrecordedWave
from sluice_contracts.vocabulary import Category, FailureCode, HoldCode, JobState
from sluice_messaging.errors import TransientError
from sluice_runtime.failpoints import FAILPOINTS

pytestmark = pytest.mark.integration

ESSENTIAL = [Category.AUTHENTICATION, Category.TRANSACTIONAL]
THE_REST = [Category.UTILITY, Category.MARKETING]


@pytest.fixture
def die_at(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Arms a failpoint: the worker dies when it gets there for the n-th time."""
    died = request.getfixturevalue("died")

    def arm(name: str, visit: int = 1) -> None:
        visits = 0

        def reach(_self: Any, reached: str) -> None:
            nonlocal visits
            if reached == name:
                visits += 1
                if visits == visit:
                    raise died

        monkeypatch.setattr(type(FAILPOINTS), "reach", reach)

    return arm


@pytest.mark.parametrize("category", list(Category))
async def test_a_worker_that_dies_before_the_claim_leaves_nothing_behind(bench, monkeypatch, died, category) -> None:
    async def dies(*_: object, **__: object) -> None:
        raise died

    command = bench.command(3, category=category)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "claim", dies)
        await bench.die_while(command)
    reports = await bench.carry_out(command)
    assert [report.state for report in reports] == [JobState.SENT] * 3
    assert set(bench.provider.times.values()) == {1}


@pytest.mark.parametrize("category", THE_REST)
async def test_a_claim_that_nobody_recorded_is_given_up_rather_than_sent_twice(bench, died, die_at, category) -> None:
    command = bench.command(120, category=category)
    die_at("channel.after_claim", 2)
    await bench.die_while(command)
    await bench.let_leases_run_out()
    die_at("nowhere")
    reports = await bench.carry_out(command)
    assert [r.state for r in reports] == [JobState.SENT] * 50 + [JobState.FAILED] * 50 + [JobState.SENT] * 20
    assert {r.code for r in reports[50:100]} == {FailureCode.UNCERTAIN}
    assert max(bench.provider.times.values()) == 1


@pytest.mark.parametrize("category", ESSENTIAL)
async def test_an_essential_message_that_was_cut_off_is_sent_again_and_counted(bench, died, die_at, category) -> None:
    command = bench.command(3, category=category)
    die_at("channel.after_send")
    await bench.die_while(command)
    await bench.let_leases_run_out()
    die_at("nowhere")
    reports = await bench.carry_out(command)
    assert [(r.state, r.attempt) for r in reports] == [(JobState.SENT, 2)] * 3
    assert set(bench.provider.times.values()) == {2}
    assert {message.attempt for message in bench.provider.handed_over[3:]} == {2}


async def test_an_essential_message_is_not_sent_again_for_ever(bench, died, die_at) -> None:
    command = bench.command(1, category=Category.AUTHENTICATION)
    die_at("channel.after_send")
    await bench.die_while(command)
    for _ in range(3):
        await bench.let_leases_run_out()
        die_at("channel.after_send")
        try:
            await bench.carry_out(command)
        except type(died):
            continue
    await bench.let_leases_run_out()
    die_at("nowhere")
    (report,) = await bench.carry_out(command)
    assert (report.state, report.code) == (JobState.FAILED, FailureCode.UNCERTAIN)
    assert len(bench.provider.handed_over) == 3


@pytest.mark.parametrize("category", list(Category))
@pytest.mark.parametrize("step", ["channel.after_record", "channel.after_emit", "channel.before_commit"])
async def test_what_was_recorded_is_answered_from_the_ledger(bench, died, die_at, category, step) -> None:
    command = bench.command(3, category=category)
    worker = await bench.worker()
    die_at(step)
    with pytest.raises(type(died)):
        await worker.commands.handle(bench.record(command))
    await bench.let_leases_run_out()
    die_at("nowhere")
    await (await bench.worker()).commands.handle(bench.record(command))
    answer = bench.reports()[-1]
    assert answer.jobs.state == [JobState.SENT] * 3
    assert answer.answers_round == 0
    assert set(bench.provider.times.values()) == {1}


async def test_a_repeat_gives_the_same_answer_and_hands_nothing_over(bench) -> None:
    command = bench.command(130)
    worker = await bench.worker()
    await worker.commands.handle(bench.record(command))
    await (await bench.worker()).commands.handle(bench.record(command))
    first, second = bench.reports()
    assert first.jobs == second.jobs
    assert len(bench.provider.handed_over) == 130


async def test_a_lease_that_is_still_good_is_waited_for(bench, died, die_at) -> None:
    command = bench.command(3)
    die_at("channel.after_claim")
    await bench.die_while(command)
    die_at("nowhere")
    with pytest.raises(TransientError):
        await bench.carry_out(command)
    assert not bench.provider.handed_over


async def test_the_provider_is_asked_where_it_can_tell(bench, died, die_at) -> None:
    command = bench.command(3)
    die_at("channel.after_send")
    await bench.die_while(command)
    await bench.let_leases_run_out()
    die_at("nowhere")
    got = bench.reference(command, 0)
    bench.provider.found = lambda references: {got: Accepted("known")}
    bench.provider.handed_over.clear()
    reports = await bench.carry_out(command)
    assert [r.state for r in reports] == [JobState.SENT] * 3
    assert reports[0].provider_id == "known"
    assert [message.job_id[-1] for message in bench.provider.handed_over] == ["1", "2"]


async def test_nothing_is_handed_over_on_a_lease_that_has_run_out(bench) -> None:
    """A worker that was paused between claiming and sending finds out before it sends."""
    command = bench.command(3)
    worker = await bench.worker()
    steady = 0.0
    run = CommandRun(worker.tools, command)
    run._ledger = Ledger(worker.tools.database, 30.0, lambda: steady)
    claim = run._ledger.claim

    async def claim_and_sleep(*arguments: Any, **named: Any) -> Any:
        nonlocal steady
        lease = await claim(*arguments, **named)
        steady = 31.0
        return lease

    run._ledger.claim = claim_and_sleep  # type: ignore[method-assign]
    reports = await run.carry_out()
    assert [r.state for r in reports] == [JobState.HELD] * 3
    assert not bench.provider.handed_over


async def test_a_worker_that_lost_its_wave_proves_what_it_sent(bench) -> None:
    """It was cut off while sending; another one gave its wave up; then it comes back with the truth."""
    command = bench.command(3)
    slow, other = await bench.worker(), await bench.worker()

    async def lose(_: object) -> None:
        bench.provider.after = None
        await bench.let_leases_run_out()
        reports = await bench.carry_out(command, other)
        assert {r.code for r in reports} == {FailureCode.UNCERTAIN}

    bench.provider.after = lose
    with pytest.raises(TransientError):
        await bench.carry_out(command, slow)
    assert [r.state for r in await bench.carry_out(command)] == [JobState.SENT] * 3
    assert set(bench.provider.times.values()) == {1}


async def test_two_workers_with_the_same_command_send_it_once(bench) -> None:
    command = bench.command(3)
    one, other = await bench.worker(), await bench.worker()

    async def meanwhile(_: object) -> None:
        with pytest.raises(TransientError):
            await bench.carry_out(command, other)

    bench.provider.before = meanwhile
    reports = await bench.carry_out(command, one)
    assert [r.state for r in reports] == [JobState.SENT] * 3
    assert set(bench.provider.times.values()) == {1}


async def test_outcomes_are_recorded_although_the_database_goes_away_meanwhile(bench) -> None:
    command = bench.command(3)

    async def cut_every_connection(_: object) -> None:
        await bench.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )

    bench.provider.after = cut_every_connection
    reports = await bench.carry_out(command)
    assert [r.state for r in reports] == [JobState.SENT] * 3
    assert [r.state for r in await bench.carry_out(command)] == [JobState.SENT] * 3
    assert set(bench.provider.times.values()) == {1}


class _Statements:
    """Notes what is asked of the ledger, and lets things happen before or after a wave is recorded and one claimed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.before: Callable[[], Any] | None = None
        self.after: Callable[[], Any] | None = None
        for name in ("claim", "record", "record_and_claim"):
            monkeypatch.setattr(Ledger, name, self._noted(name, getattr(Ledger, name)))

    def _noted(self, name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        async def noted(*arguments: Any) -> Any:
            if arguments[-1] is None or not isinstance(arguments[-1], PoolConnectionProxy):
                self.asked.append(name)
            joint = name == "record_and_claim"
            if joint and self.before is not None:
                await self.before()
            answer = await ask(*arguments)
            if joint and self.after is not None:
                await self.after()
            return answer

        return noted


async def _states(bench: Any, *commands: Any) -> list[dict[str, int]]:
    """How many jobs of each command are in which state once another worker has answered it."""
    return [Counter(report.state for report in await bench.carry_out(command)) for command in commands]


async def _in_turn(bench: Any, until: Any, worker: Any, first: Any, second: Any) -> list[asyncio.Task[Any]]:
    """Begin two commands of one account: the second waits for its turn before the first gets on with its own."""
    inside, goes_on = asyncio.Event(), asyncio.Event()

    async def hold(_: object) -> None:
        inside.set()
        await goes_on.wait()

    bench.provider.before = hold
    tasks = [asyncio.create_task(bench.carry_out(first, worker))]
    await until(inside.is_set)
    tasks.append(asyncio.create_task(bench.carry_out(second, worker)))
    await until(lambda: any(gate.is_awaited for gate in worker.tools.turnstile._gates.values()))
    bench.provider.before = None
    goes_on.set()
    return tasks


async def test_commands_of_one_account_have_one_commit_between_their_waves(bench, monkeypatch, until) -> None:
    statements = _Statements(monkeypatch)
    worker = await bench.worker()
    answers = await asyncio.gather(
        *await _in_turn(bench, until, worker, bench.command(120), bench.command(120, first=200))
    )
    assert {report.state for reports in answers for report in reports} == {JobState.SENT}
    assert statements.asked == ["claim", *["record_and_claim"] * 5, "record"]
    assert await bench.fetch("SELECT FROM waves WHERE recorded_at IS NULL") == []


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_worker_that_dies_between_two_commands_leaves_one_wave_in_doubt(
    bench, monkeypatch, died, until, moment
) -> None:
    worker = await bench.worker()
    first, second = bench.command(50), bench.command(50, first=200)

    async def die() -> None:
        raise died

    # Whoever waits for the dead one's word waits for ever.
    monkeypatch.setattr(UnrecordedWave, "put_down", lambda wave: None)
    with monkeypatch.context() as patch:
        setattr(_Statements(patch), moment, die)
        tasks = await _in_turn(bench, until, worker, first, second)
        done, waiting = await asyncio.wait(tasks, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.exception()) for task in done] == [type(died)]
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    assert len(await bench.fetch("SELECT FROM waves WHERE recorded_at IS NULL")) == 1
    await bench.let_leases_run_out()
    uncertain = [{JobState.FAILED: 50}, {JobState.SENT: 50}]
    found = await _states(bench, first, second)
    assert found == (uncertain if moment == "before" else uncertain[::-1])
    assert max(bench.provider.times.values()) == 1


async def test_whoever_is_cut_off_while_recording_anothers_wave_leaves_it_to_its_own_command(
    bench, monkeypatch, until
) -> None:
    statements = _Statements(monkeypatch)
    worker = await bench.worker()
    first, second = bench.command(50), bench.command(50, first=200)
    stuck = asyncio.Event()
    statements.before = stuck.wait
    one, other = await _in_turn(bench, until, worker, first, second)
    await until(lambda: "record_and_claim" in statements.asked)
    other.cancel()
    assert {report.state for report in await one} == {JobState.SENT}
    statements.before = None
    assert await _states(bench, first, second) == [{JobState.SENT: 50}] * 2
    assert set(bench.provider.times.values()) == {1}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_connection_that_breaks_between_two_commands_costs_neither_anything(bench, monkeypatch, moment) -> None:
    statements = _Statements(monkeypatch)
    worker = await bench.worker()

    async def broken() -> None:
        setattr(statements, moment, None)
        raise ConnectionResetError

    setattr(statements, moment, broken)
    commands = [bench.command(50), bench.command(50, first=200)]
    answers = await asyncio.gather(*(bench.carry_out(command, worker) for command in commands))
    assert {report.state for reports in answers for report in reports} == {JobState.SENT}
    assert set(bench.provider.times.values()) == {1}
    assert await bench.fetch("SELECT FROM waves WHERE recorded_at IS NULL") == []


async def test_a_wave_lost_to_another_worker_does_not_stop_the_command_that_would_record_it(bench) -> None:
    worker = await bench.worker()
    first, second = bench.command(50), bench.command(50, first=200)

    async def lose(messages: Sequence[OutboundMessage]) -> None:
        if messages[0].trigger_id == str(first.trigger_id):
            await bench.execute("UPDATE waves SET owner = gen_random_uuid()")

    bench.provider.after = lose
    one, other = await asyncio.gather(
        bench.carry_out(first, worker), bench.carry_out(second, worker), return_exceptions=True
    )
    assert isinstance(one, TransientError)
    assert {report.state for report in other} == {JobState.SENT}
    await bench.let_leases_run_out()
    assert {report.state for report in await bench.carry_out(first)} == {JobState.SENT}
    assert set(bench.provider.times.values()) == {1}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("category", [Category.MARKETING, Category.AUTHENTICATION])
async def test_however_often_workers_die_every_job_is_accounted_for(bench, died, monkeypatch, category, seed) -> None:
    """Workers die anywhere, receipts come at any moment, and the command is repeated until it is answered."""
    dice = random.Random(seed)
    command = bench.command(dice.choice([1, 49, 50, 51, 130]), category=category)
    receiver = await bench.worker()
    accepted: set[str] = set()

    def reach(_self: Any, _name: str) -> None:
        if dice.random() < 0.2:
            raise died

    def answer(message: OutboundMessage) -> Outcome:
        if dice.random() < 0.1:
            return RejectRecipient("no", "No such number")
        accepted.add(message.job_id)
        return Ambiguous("reset") if dice.random() < 0.1 else Accepted(None)

    monkeypatch.setattr(type(FAILPOINTS), "reach", reach)
    bench.provider.script = answer
    for _ in range(60):
        try:
            await (await bench.worker()).commands.handle(bench.record(command))
            break
        except type(died):
            await bench.let_leases_run_out()
            proven = [int(job.rpartition("-")[2]) for job in accepted if dice.random() < 0.3]
            await receiver.receipts.apply(
                [Arrival(bench.delivered(command, seq), bench.clock.now(), None, bench.workspace) for seq in proven]
            )
    else:
        pytest.fail("the command was never answered")
    monkeypatch.undo()
    jobs = [report for report in bench.reports() if report.answers_round == 0][-1].jobs
    assert jobs.seq == command.jobs.seq
    most = max(bench.provider.times.values(), default=0)
    assert most <= (1 if category is Category.MARKETING else MAX_UNCLEAR_ATTEMPTS)
    for seq, state, code in zip(jobs.seq, jobs.state, jobs.code, strict=True):
        job_id = f"{command.execution_id.hex}-{seq}"
        if state is JobState.SENT:
            assert job_id in accepted
        elif state is JobState.FAILED:
            assert code in {FailureCode.UNCERTAIN, FailureCode.RECIPIENT_REJECTED}
        else:
            assert (state, code, category) == (JobState.HELD, HoldCode.RETRY, Category.AUTHENTICATION)
