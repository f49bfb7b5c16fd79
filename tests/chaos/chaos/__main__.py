"""`python -m chaos --seeds 7,8,9 --kills 50`: play seeds, print what was done and found, end with one line."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from chaos import report
from chaos.disk import isolate_mounts
from chaos.run import Options, Run


def main() -> int:
    """Return 0 where every promise was kept, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="chaos", description="A whole stack under load and under fire.")
    parser.add_argument("--seeds", default="7", help="the seeds to play, with commas")
    parser.add_argument("--kills", type=int, default=50, help="how many processes to kill at least, in each seed")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3)
    parser.add_argument("--audience", type=int, help="how many contacts the largest send is for")
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second")
    parser.add_argument("--short", action="store_true", help="shorter faults, shorter leases, a smaller audience")
    parser.add_argument("--only", default="", help="only faults with this in their name")
    parser.add_argument("--data", type=Path, help="keep everything here instead of a folder that is removed")
    options = parser.parse_args()
    # What clients say of brokers that were killed is no news here.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    no_mounts = isolate_mounts()
    audience = options.audience or (4_000 if options.short else 20_000)
    how = Options(options.kills, options.brokers, audience, options.rate, options.short, options.only)
    outcomes = []
    for seed in map(int, options.seeds.split(",")):
        folder = Path(tempfile.mkdtemp(prefix=f"sluice-chaos-{seed}-", dir=options.data))
        folder.chmod(0o711)
        outcome = asyncio.run(_interruptible(Run(seed, folder, how, no_mounts)))
        outcomes.append(outcome)
        print(*report.table(outcome.tallies), *report.findings(outcome.verdict), sep="\n", flush=True)
        if outcome.is_clean and options.data is None:
            shutil.rmtree(folder)
        else:
            print(f"seed {seed}: everything is kept in {folder}")
    print(report.last_line(outcomes))
    return int(not all(outcome.is_clean for outcome in outcomes))


async def _interruptible(run: Run) -> report.Outcome:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await run.play()


if __name__ == "__main__":
    sys.exit(main())
