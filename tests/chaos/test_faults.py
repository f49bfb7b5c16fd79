"""A fault that is in the way of another is waited for, and one that could not be done is not passed over in silence."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from chaos import faults, topics
from chaos.faults import Injector, Targets
from chaos.schedule import Fault, Strike

STRIKE = Strike(Fault.LOST_LOG, "deliveries")


@pytest.fixture
def injector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Injector]:
    monkeypatch.setattr(faults, "_AGAIN_SECONDS", 0.0)
    injector = Injector(
        Targets(cast(Any, None), 3, cast(Any, None), cast(Any, None), None, "only root may mount"), print
    )
    yield injector
    injector.close()


def fails(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    left = iter(range(times))

    async def do(self: Injector, strike: Strike) -> int:
        if next(left, None) is not None:
            raise TimeoutError("a broker is away")
        return 2

    monkeypatch.setattr(Injector, "_do", do)


async def test_a_fault_is_tried_until_it_is_done(injector: Injector, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, 3)
    await injector.strike(STRIKE)
    tally = injector.tallies[STRIKE.name]
    assert (tally.times, tally.kills, tally.failures) == (1, 2, [])


async def test_a_fault_that_is_never_done_is_a_failure(injector: Injector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_CHANCE_SECONDS", 0.0)
    fails(monkeypatch, 1_000)
    await injector.strike(STRIKE)
    tally = injector.tallies[STRIKE.name]
    assert (tally.times, tally.failures) == (0, ["TimeoutError: a broker is away"])


async def test_what_this_machine_cannot_do_is_remarked(injector: Injector) -> None:
    await injector.strike(Strike(Fault.FULL_DISK))
    tally = injector.tallies[Fault.FULL_DISK]
    assert (tally.times, tally.remarks, tally.failures) == (0, ["not run: only root may mount"], [])


@pytest.mark.parametrize("brokers_up", [3, 2])
async def test_a_broker_is_not_killed_while_another_one_starts(
    brokers_up: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "_BACK_SECONDS", 0.0)
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    monkeypatch.setattr(topics, "leading_broker", leads_first)
    monkeypatch.setattr(psutil, "Process", lambda pid: SimpleNamespace(cmdline=lambda: [f"broker-{pid}.properties"]))
    with ExitStack() as sockets:
        doors = [sockets.enter_context(socket.socket()) for _ in range(3)]
        for door in doors:
            door.bind(("127.0.0.1", 0))
        for door in doors[:brokers_up]:
            door.listen()
        addresses = ",".join(f"127.0.0.1:{door.getsockname()[1]}" for door in doors)
        stack = SimpleNamespace(pids=lambda _: [1, 2, 3], connections=SimpleNamespace(kafka=addresses))
        injector = Injector(Targets(cast(Any, stack), 3, cast(Any, None), cast(Any, None), None, None), print)
        with nullcontext() if brokers_up == 3 else pytest.raises(TimeoutError, match="all brokers run"):
            await injector._kill_leader()
        injector.close()
    assert killed == ([1] if brokers_up == 3 else [])


async def leads_first(_bootstrap: str) -> int:
    return 1
