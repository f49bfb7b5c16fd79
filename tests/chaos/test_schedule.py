"""The faults of a seed: always the same, every kind among them."""

from __future__ import annotations

from itertools import islice

import pytest

from chaos.schedule import LONG, LOSABLE, SERVICES, SHORT, SHOWN, Fault, kills, ordeals

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_says_what_happens(seed: int) -> None:
    assert ordeals(seed, SHORT) == ordeals(seed, SHORT)
    assert list(islice(kills(seed, SHORT), 50)) == list(islice(kills(seed, SHORT), 50))


def test_another_seed_says_something_else() -> None:
    assert len({tuple(ordeals(seed, SHORT)) for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_fault_comes_in_every_seed(seed: int) -> None:
    lasting = ordeals(seed, LONG)
    deadly = list(islice(kills(seed, LONG), 21))
    assert {strike.fault for strike in [*lasting, *deadly]} == set(Fault)
    for fault in (Fault.STOP, Fault.RESTART):
        assert {strike.target for strike in lasting if strike.fault is fault} == set(SERVICES)
    assert {strike.target for strike in deadly if strike.fault is Fault.KILL} == set(SERVICES)
    lost = {strike.target for strike in lasting if strike.fault is Fault.LOST_LOG}
    assert set(SHOWN) < lost <= {*LOSABLE, *SHOWN}


def test_no_topic_is_lost_that_holds_what_was_accepted_and_nobody_has_yet() -> None:
    assert not [topic for topic in (*LOSABLE, *SHOWN) if topic.startswith("triggers")]
