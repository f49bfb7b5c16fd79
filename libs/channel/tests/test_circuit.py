"""The circuit breaker of a provider account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sluice_channel.domain.circuit import (
    FAULTS_TO_OPEN,
    FIRST_COOLDOWN,
    LONGEST_COOLDOWN,
    PROBE_DEADLINE,
    Circuit,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_a_refusal_opens_it_and_one_probe_may_try_after_the_cooldown() -> None:
    circuit = Circuit()
    circuit.refuse(NOW)
    assert not circuit.admit(NOW)
    assert circuit.due(NOW) == NOW + FIRST_COOLDOWN
    later = NOW + FIRST_COOLDOWN
    assert circuit.admit(later)
    assert not circuit.admit(later), "a second probe"
    circuit.succeed()
    assert circuit.is_closed
    assert circuit.admit(later)


def test_each_failed_probe_doubles_the_cooldown_up_to_the_longest() -> None:
    circuit, now = Circuit(), NOW
    circuit.refuse(now)
    waits = []
    for _ in range(8):
        waits.append(circuit.due(now) - now)
        now = circuit.due(now)
        assert circuit.admit(now)
        circuit.refuse(now)
    assert waits[:3] == [FIRST_COOLDOWN, FIRST_COOLDOWN * 2, FIRST_COOLDOWN * 4]
    assert waits[-1] == LONGEST_COOLDOWN


def test_a_whole_wave_of_refusals_counts_as_one() -> None:
    circuit = Circuit()
    for _ in range(50):
        circuit.refuse(NOW)
    assert circuit.due(NOW) == NOW + FIRST_COOLDOWN


def test_faults_in_a_row_open_it_and_a_success_in_between_does_not() -> None:
    circuit = Circuit()
    for _ in range(FAULTS_TO_OPEN - 1):
        circuit.fault(NOW)
    circuit.succeed()
    for _ in range(FAULTS_TO_OPEN - 1):
        circuit.fault(NOW)
    assert circuit.is_closed
    circuit.fault(NOW)
    assert not circuit.is_closed


def test_a_probe_that_is_lost_is_forgotten() -> None:
    circuit = Circuit()
    circuit.refuse(NOW)
    later = NOW + FIRST_COOLDOWN
    assert circuit.admit(later)
    assert not circuit.admit(later + PROBE_DEADLINE - timedelta(seconds=1))
    assert circuit.admit(later + PROBE_DEADLINE)


@given(st.lists(st.tuples(st.sampled_from(["succeed", "fault", "refuse", "admit"]), st.integers(0, 120))))
def test_it_never_stays_shut_for_longer_than_its_longest_cooldown(steps: list[tuple[str, int]]) -> None:
    circuit, now = Circuit(), NOW
    for step, seconds in steps:
        now += timedelta(seconds=seconds)
        if step == "succeed":
            circuit.succeed()
        else:
            getattr(circuit, step)(now)
        assert circuit.blocks(now) is (not circuit.is_closed and circuit.blocks(now))
    assert circuit.admit(now + LONGEST_COOLDOWN + PROBE_DEADLINE)
