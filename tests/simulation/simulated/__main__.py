"""`python -m simulated --seeds 1000`: play seeds on every core and say what was found."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from functools import partial
from multiprocessing import get_context
from os import cpu_count
from typing import Final

from simulated.run import Outcome, simulate
from simulated.variants import Variant
from sluice_catalog.addresses import normalise_phone
from sluice_catalog.conditions import ALL_NAMES, EVENT_AND_CONTACT, compile_condition

_PORTION: Final = 2
_PORTIONS_OF_A_PROCESS: Final = 40
"""The little garbage that a seed leaves is not collected in a process: it ends before that takes much memory."""


def main() -> int:
    """Return 0 where nothing was found, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="simulated", description="Deterministic simulation of the whole pipeline.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=cpu_count() or 1, help="how many at once")
    parser.add_argument("--variant", type=Variant, choices=list(Variant), help="play a version that is built wrong")
    parser.add_argument("--story", action="store_true", help="tell everything that happens in the first seed")
    options = parser.parse_args()
    if options.story:
        return _tell(options.first, options.variant)
    return _play(range(options.first, options.first + options.seeds), options.jobs, options.variant)


def _tell(seed: int, variant: Variant | None) -> int:
    outcome = simulate(seed, variant, tells=True)
    print(*outcome.story, sep="\n")
    print(_line(outcome))
    return bool(outcome.violations)


def _play(seeds: range, jobs: int, variant: Variant | None) -> int:
    started = time.monotonic()
    found = messages = deaths = 0
    play = partial(simulate, variant=variant)
    _build_once(seeds.start)
    with get_context("fork").Pool(jobs, gc.disable, maxtasksperchild=_PORTIONS_OF_A_PROCESS) as pool:
        for outcome in pool.imap(play, seeds, chunksize=_PORTION):
            print(_line(outcome), flush=True)
            found += bool(outcome.violations)
            messages += outcome.messages
            deaths += outcome.deaths
    seconds = time.monotonic() - started
    print(
        f"{len(seeds)} seeds in {seconds:.0f} s ({len(seeds) / seconds * 60:.0f} a minute): {messages} hand-overs, "
        f"{deaths} deaths, {found} seeds with violations"
    )
    return int(bool(found) is (variant is None))


def _build_once(seed: int) -> None:
    """Build what is built once for all runs before the processes are, which then have it."""
    for names in (ALL_NAMES, EVENT_AND_CONTACT):
        compile_condition("true", names)
    normalise_phone("+12125550000", "US")
    simulate(seed)


def _line(outcome: Outcome) -> str:
    faults = "".join(f"\n    {violation[:2000]}" for violation in outcome.violations[:5])
    return f"{outcome.seed:>7} {outcome.digest:<24} {outcome.seconds:7.1f} s {outcome.messages:5} {faults}"


if __name__ == "__main__":
    sys.exit(main())
