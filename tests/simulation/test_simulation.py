"""The pipeline under every misfortune that can be simulated; `make simulate` plays many more seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulated.run import simulate
from simulated.variants import Variant

SEEDS = range(100)
PORTIONS = 4
FOUND = {
    Variant.EMIT_BEFORE_RECORD: 7,
    Variant.COMMIT_BEFORE_EMIT: 0,
    Variant.NO_CLAIM: 41,
    Variant.WAIT_ENDS_TWICE: 24,
    Variant.NO_WATERMARK: 75,
    Variant.NOBODY_ASKS: 8,
    Variant.RETRIES_UNHEARD: 147,
}
"""A seed that finds each: played before the others, which are played only where it does so no more."""


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_every_job_is_accounted_for_whatever_happens(portion: int) -> None:
    for seed in SEEDS[portion::PORTIONS]:
        outcome = simulate(seed)
        assert not outcome.violations, f"seed {seed}: {outcome.violations}"


@pytest.mark.parametrize("seed", [238, 3633, 25375])
def test_a_seed_that_once_found_something_finds_it_no_more(seed: int) -> None:
    assert not simulate(seed).violations


@pytest.mark.parametrize("variant", Variant)
def test_what_is_built_wrong_is_found_out_within_two_hundred_seeds(variant: Variant) -> None:
    assert any(simulate(seed, variant).violations for seed in (FOUND[variant], *range(200)))


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    here = {seed: simulate(seed).digest for seed in (3, 7, 9)}
    for hash_seed in ("0", "4711"):
        program = "from simulated.run import simulate; print(*(simulate(seed).digest for seed in (3, 7, 9)))"
        there = subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent)},
        )
        assert there.stdout.split() == list(here.values())


def test_another_seed_is_another_run() -> None:
    assert simulate(1).digest != simulate(2).digest
