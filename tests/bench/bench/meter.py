"""What a stretch of time cost: CPU seconds and peak memory of every process of a stack."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

SERVERS: Final = frozenset({"postgres", "kafka", "caddy"})
"""What runs beside our own processes."""

_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds and peak resident megabytes of one service's processes: all together, and the largest one's."""

    cpu_seconds: float
    peak_rss_mb: float


class Meter:
    """Measures from entering to leaving; processes that end in between are left out.

    `pids` names the processes of each service. This process stands in the costs as "load".
    """

    def __init__(self, pids: Mapping[str, list[int]]) -> None:
        self._processes = {name: [psutil.Process(pid) for pid in found] for name, found in pids.items()}
        self._processes["load"] = [psutil.Process(os.getpid())]
        self._before: dict[int, float] = {}
        self._began = 0.0
        self.seconds = 0.0
        self.costs: dict[str, Cost] = {}

    def __enter__(self) -> Self:
        for process in self._all():
            _forget_peak(process.pid)
        self._before = {process.pid: _cpu_seconds(process) for process in self._all()}
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._began
        for name, processes in self._processes.items():
            alive = [process for process in processes if process.is_running()]
            if alive:
                spent = sum(_cpu_seconds(process) - self._before[process.pid] for process in alive)
                self.costs[name] = Cost(spent, max(_peak_rss_mb(process) for process in alive))

    @property
    def peak_rss_mb(self) -> float:
        """The peak of the largest of the services' processes."""
        ours = [cost.peak_rss_mb for name, cost in self.costs.items() if name not in SERVERS | {"load"}]
        return max(ours, default=0.0)

    def detail(self, works: int = 0) -> dict[str, Any]:
        """Return the costs for a figure's detail: with `works`, in microseconds of CPU for each of so many pieces."""
        told: dict[str, Any] = {"seconds": round(self.seconds, 3)}
        for name, cost in self.costs.items():
            entry = {"cpu_seconds": round(cost.cpu_seconds, 2), "peak_rss_mb": round(cost.peak_rss_mb, 1)}
            if works:
                entry["cpu_us_each"] = round(cost.cpu_seconds / works * 1e6, 1)
            told[name] = entry
        return told

    def _all(self) -> list[psutil.Process]:
        return [process for processes in self._processes.values() for process in processes]


def _cpu_seconds(process: psutil.Process) -> float:
    """Return what a process and its children have used; PostgreSQL works in children."""
    total = 0.0
    for one in [process, *process.children(recursive=True)] if process.pid != os.getpid() else [process]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _forget_peak(pid: int) -> None:
    """Let the kernel count the peak from now on, where it can (Linux, proc(5))."""
    file = Path(f"/proc/{pid}/clear_refs")
    if file.exists():
        file.write_text("5")


def _peak_rss_mb(process: psutil.Process) -> float:
    file = Path(f"/proc/{process.pid}/status")
    if file.exists():
        for line in file.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / _MEGABYTE
    return float(process.memory_info().rss) / _MEGABYTE
