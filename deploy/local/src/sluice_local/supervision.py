"""Keeping processes alive: each is started again when it ends, later and later while it keeps ending."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

from sluice_local.terminal import Terminal

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.1
_random = Random()


def pause_before_restart(ends: int, random: Random) -> float:
    """Return the seconds to wait after a process ended `ends` times in a row: doubling from 0.25 to 30, ± a quarter."""
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(ends - 1, 16)
    return min(doubled, LONGEST_PAUSE_SECONDS) * random.uniform(0.75, 1.25)


@dataclass(slots=True)
class Unit:
    """One process that should run. `launch` starts it, each time anew; `service` is what others know it by."""

    name: str
    service: str
    launch: Callable[[], subprocess.Popen[bytes]]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    relays_log: bool = False
    process: subprocess.Popen[bytes] | None = None
    ends: int = 0
    started_at: float = 0.0
    start_again_at: float | None = None
    read_to: int = field(default=0)

    def start(self) -> None:
        """Start the process and note where its part of the log begins."""
        self.read_to = self.log.stat().st_size if self.log.exists() else 0
        self.process = self.launch()
        self.started_at = monotonic()
        self.start_again_at = None

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Starts units, watches them, and stops them. `publish` is told the pids by service after every change."""

    def __init__(self, terminal: Terminal, publish: Callable[[Mapping[str, list[int]]], None]) -> None:
        self._terminal = terminal
        self._publish = publish
        self._units: list[Unit] = []

    def start(self, unit: Unit) -> None:
        """Start `unit` and keep it running from now on."""
        unit.start()
        self._units.append(unit)
        self._publish_pids()

    async def watch(self) -> None:
        """Start again whatever ends, and relay logs, until cancelled."""
        while True:
            for unit in self._units:
                self._relay(unit)
                self._look_after(unit)
            await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self, services: Iterable[str], grace_seconds: float) -> None:
        """Ask the units of `services` to end, all at once, and kill those that have not after `grace_seconds`."""
        names = set(services)
        leaving = [unit for unit in self._units if unit.service in names]
        self._units = [unit for unit in self._units if unit.service not in names]
        for unit in leaving:
            if unit.process is not None and unit.is_running:
                unit.process.send_signal(unit.stop_signal)
        deadline = monotonic() + grace_seconds
        while any(unit.is_running for unit in leaving) and monotonic() < deadline:  # noqa: ASYNC110 (processes: no event)
            await asyncio.sleep(0.02)
        for unit in leaving:
            if unit.process is not None and unit.is_running:
                self._terminal.say(
                    "process.killed",
                    f"{unit.name} did not stop within {grace_seconds:.0f} s: killed",
                    level="warning",
                    process=unit.name,
                )
                unit.process.kill()
                unit.process.wait()
            self._relay(unit)
        self._publish_pids()

    def kill_all(self) -> None:
        """End everything at once."""
        for unit in self._units:
            if unit.process is not None and unit.is_running:
                unit.process.kill()
                unit.process.wait()

    def _look_after(self, unit: Unit) -> None:
        if unit.is_running:
            return
        now = monotonic()
        if unit.start_again_at is None:
            unit.ends = 1 if now - unit.started_at > STEADY_SECONDS else unit.ends + 1
            pause = pause_before_restart(unit.ends, _random)
            unit.start_again_at = now + pause
            code = unit.process.returncode if unit.process is not None else None
            self._publish_pids()
            self._terminal.say(
                "process.ended",
                f"{unit.name} ended ({describe_exit(code)}); starting it again in {pause:.1f} s (log: {unit.log})",
                level="warning",
                process=unit.name,
                exit_code=code,
                pause_seconds=round(pause, 2),
                log=str(unit.log),
            )
        elif now >= unit.start_again_at:
            unit.start()
            self._publish_pids()
            pid = unit.process.pid if unit.process is not None else None
            self._terminal.say(
                "process.restarted", f"{unit.name} started again (process {pid})", process=unit.name, pid=pid
            )

    def _relay(self, unit: Unit) -> None:
        if not unit.relays_log or not unit.log.exists():
            return
        with unit.log.open("rb") as log:
            log.seek(unit.read_to)
            whole, newline, _ = log.read(256 * 1024).rpartition(b"\n")
        unit.read_to += len(whole) + len(newline)
        for line in whole.decode(errors="replace").splitlines():
            self._terminal.relay(unit.name, line)

    def _publish_pids(self) -> None:
        pids: dict[str, list[int]] = {}
        for unit in self._units:
            running = pids.setdefault(unit.service, [])
            if unit.process is not None and unit.is_running:
                running.append(unit.process.pid)
        self._publish(pids)


def describe_exit(code: int | None) -> str:
    """Return an exit code in words."""
    if code is None:
        return "unknown"
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"
