"""`python -m bench --only accept,poll`: measure, print the table, write `bench.json`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Final

import uvloop

from bench.figures import Figure, table, to_json
from bench.rig import Rig, running
from bench.sizes import Sizes, sizes_from
from sluice_local import processes


@dataclass(frozen=True, slots=True)
class Measurement:
    """One module of this package, and the stack that it wants: copies of services, settings."""

    module: str
    copies: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def measure(self, rig: Rig) -> list[Figure]:
        """Run it on a loop of its own."""
        measure: Callable[[Rig], Awaitable[list[Figure]]] = import_module(f"bench.{self.module}").measure
        return uvloop.run(measure(rig))  # type: ignore[arg-type]


_RELAY: Final = {"SLUICE_ALLOW_PRIVATE_PROVIDERS": "true"}


def measurements(sizes: Sizes) -> dict[str, Measurement]:
    """Return every measurement by its name, in the order in which they run."""
    ingest = {"ingest": sizes.ingest_copies}
    return {
        "accept": Measurement("accept", ingest),
        "bulk": Measurement("bulk", ingest),
        "broadcast": Measurement("broadcast"),
        "smtp": Measurement("smtp", {}, _RELAY),
        "fold": Measurement("fold"),
        "events": Measurement("events"),
        "otp": Measurement("otp"),
        "poll": Measurement("poll"),
        "recover": Measurement("recover", {"channel-sms": 2}),
        "kills": Measurement("kills", {}, _RELAY),
    }


_UNLESS_ASKED: Final = frozenset({"kills"})
"""What takes minutes and is no figure of speed."""


def main() -> int:
    """Return 0 once everything asked for has been measured."""
    sizes = sizes_from(os.environ)
    known = measurements(sizes)
    parser = argparse.ArgumentParser(prog="bench", description="Measure how fast a stack is on this machine.")
    parser.add_argument("--only", default="", help=f"some of {','.join(known)}")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where the figures are written")
    options = parser.parse_args()
    names = [name.strip() for name in options.only.split(",") if name.strip()] or sorted(known.keys() - _UNLESS_ASKED)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    print(f"{sizes}\nOne Kafka broker with acks=all, PostgreSQL with fsync and synchronous_commit.", flush=True)
    figures: list[Figure] = []
    for name in sorted(names, key=list(known).index):
        print(f"measuring {name} …", flush=True)
        found = _measure(known[name], sizes)
        print(table(found), flush=True)
        figures += found
        options.out.write_text(to_json(figures))
    print(f"\n{table(figures)}\n\nwritten to {options.out}")
    return 0


def _measure(measurement: Measurement, sizes: Sizes) -> list[Figure]:
    """Measure on a stack with nothing in it, whose services send their traces somewhere."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        # Servers that the relay's user or PostgreSQL's must enter.
        Path(folder).chmod(0o755)
        port = processes.free_port()
        environment = {"SLUICE_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", **measurement.environment}
        collector = processes.spawn(
            [sys.executable, "-m", "bench.bare", "traces", "--port", str(port)],
            log=Path(folder) / "traces.log",
        )
        try:
            with running(Path(folder), sizes, measurement.copies, environment) as rig:
                return measurement.measure(rig)
        finally:
            collector.kill()
            collector.wait()


if __name__ == "__main__":
    sys.exit(main())
