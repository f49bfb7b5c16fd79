"""A fault that is in the way of another is waited for, and one that could not be done is not passed over in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from chaos import faults
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
