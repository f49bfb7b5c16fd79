"""Erased people: the ledger still knows what was handed over, and nothing in the schema says to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from sluice_catalog.erasures import Erasure
from sluice_channel import erasing
from sluice_channel.erasing import PeopleMemory
from sluice_channel.ledger import LedgerReader
from sluice_channel.provider import Accepted, OutboundMessage, Outcome, RejectRecipient
from sluice_channel.sandbox.provider import SandboxProvider
from sluice_contracts.references import JobReference
from sluice_contracts.vocabulary import JobState

pytestmark = pytest.mark.integration

ADA, BARE, OTHER = "+14155550000", "+14155559977", "+14155550001"
TABLES = ("waves", "allowances", "conversations", "sandbox_messages", "parked_receipts")


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every walk through the ledger has several steps."""
    monkeypatch.setattr(erasing, "AT_ONCE", 2)


def erasure(bench: Any, **changes: Any) -> Erasure:
    until = bench.clock.now() + timedelta(hours=1)
    known = {"external_id": "user_0", "addresses": (ADA, BARE, "ada@example.com"), "until": until}
    return Erasure(**{"workspace_id": bench.workspace, "contact_id": uuid4()} | known | changes)


async def everything(bench: Any) -> str:
    """All that the schema holds, with what is packed as text."""
    rows = [await bench.fetch(f"SELECT t::text FROM {table} t") for table in TABLES]  # noqa: S608 (names of ours)
    packed = await bench.fetch("SELECT convert_from(facts || reports, 'UTF8') FROM waves")
    return "\n".join(row[0] for table in (*rows, packed) for row in table)


def refusing(message: OutboundMessage) -> Outcome:
    """Names the address in the refusal, as providers do."""
    return (
        RejectRecipient("5.1.1", f"<{message.address}> is unknown")
        if message.address == BARE
        else Accepted(message.job_id)
    )


async def test_nothing_says_any_more_to_whom_it_was_handed_over(bench: Any) -> None:
    bench.provider.script = refusing
    bench.provider.matches_replies_by_address = True
    columns = {"external_id": ["user_0", None, *[f"user_{seq}" for seq in range(1, 119)]]}
    addresses = [ADA, BARE, *[f"+1415555{seq:04d}" for seq in range(1, 119)]]
    commands = [bench.command(120, addresses=addresses, columns=columns) for _ in range(3)]
    outcomes = [await bench.carry_out(command) for command in commands]
    assert ADA in (before := await everything(bench))
    assert f"<{BARE}>" in before
    memory = PeopleMemory(bench.database)
    assert await memory.forget(bench.workspace, [erasure(bench)]) >= 2 * len(commands)
    after = await everything(bench)
    assert not any(text in after for text in (ADA, BARE, '"user_0"'))
    assert OTHER in after
    assert '"user_1"' in after
    for command, told in zip(commands, outcomes, strict=True):
        again = await bench.carry_out(command)
        assert [(one.seq, one.state, one.code) for one in again] == [(one.seq, one.state, one.code) for one in told]
        assert [one.state for one in again[:3]] == [JobState.SENT, JobState.FAILED, JobState.SENT]
        people = await LedgerReader(bench.database).people(
            [JobReference(command.execution_id, seq, command.round) for seq in (0, 1, 2)]
        )
        assert [person and person.address for person in people] == [None, None, OTHER]
    assert await memory.forget(bench.workspace, [erasure(bench)]) == 0


async def test_what_is_somebody_elses_or_younger_is_left_alone(bench: Any) -> None:
    await bench.carry_out(bench.command(3, addresses=[ADA, OTHER, None]))
    before = await everything(bench)
    memory = PeopleMemory(bench.database)
    assert await memory.forget(UUID(int=9), [erasure(bench, workspace_id=UUID(int=9))]) == 0
    assert await memory.forget(bench.workspace, [erasure(bench, until=bench.clock.now())]) == 0
    assert await everything(bench) == before


async def test_the_sandbox_forgets_what_it_would_have_shown(bench: Any) -> None:
    worker = await bench.worker()
    await bench.execute("UPDATE catalog.provider_accounts SET provider = 'sandbox' WHERE id = $1", bench.account)
    worker.catalog.forget()
    await bench.carry_out(bench.command(3, text="Dear reader", addresses=[ADA, OTHER, "+14155550002"]), worker)
    assert SandboxProvider.name == "sandbox"
    assert await PeopleMemory(bench.database).forget(bench.workspace, [erasure(bench)]) == 2
    rows = await bench.fetch("SELECT address, text FROM sandbox_messages ORDER BY call_id, place")
    assert [tuple(row) for row in rows] == [("", None), (OTHER, "Dear reader"), ("+14155550002", "Dear reader")]


async def test_a_claim_that_is_under_way_keeps_what_it_is_about(bench: Any, died: Any) -> None:
    """Only who it is goes: what is about to be handed over is decided by whoever takes the wave over."""

    async def die(messages: Any) -> None:
        raise died

    bench.provider.before = die
    command = bench.command(3, addresses=[ADA, OTHER, "+14155550002"])
    await bench.die_while(command)
    (before,) = await bench.fetch("SELECT reports FROM waves")
    assert await PeopleMemory(bench.database).forget(bench.workspace, [erasure(bench)]) == 1
    (after,) = await bench.fetch("SELECT reports FROM waves")
    assert after == before
    assert ADA not in await everything(bench)
