"""A process that ends is started again; a stop leaves none."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random

import pytest

from sluice_local import processes
from sluice_local.supervision import LONGEST_PAUSE_SECONDS, Supervisor, Unit, describe_exit, pause_before_restart
from sluice_local.terminal import Terminal

SLEEP = "import time; time.sleep(60)"


class Room:
    """A supervisor with its watch running, and all that it said and published."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stream = io.StringIO()
        self.pids: dict[str, list[int]] = {}
        self.supervisor = Supervisor(Terminal("warning", self._stream), self._publish)

    def start(self, name: str, script: str, *, relays_log: bool = False) -> Unit:
        log = self._folder / f"{name}.log"
        unit = Unit(
            name, name, partial(processes.spawn, [sys.executable, "-c", script], log=log), log, relays_log=relays_log
        )
        self.supervisor.start(unit)
        return unit

    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 (what is waited for is in another process)
                await asyncio.sleep(0.02)

    def _publish(self, pids: Mapping[str, list[int]]) -> None:
        self.pids = dict(pids)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room(tmp_path)
    watch = asyncio.create_task(room.supervisor.watch())
    yield room
    watch.cancel()
    room.supervisor.kill_all()


async def test_a_killed_process_is_started_again_and_its_new_pid_published(room: Room) -> None:
    unit = room.start("ingest", SLEEP)
    assert unit.process is not None
    killed = unit.process.pid
    assert room.pids == {"ingest": [killed]}
    os.kill(killed, signal.SIGKILL)
    await room.until(lambda: room.pids["ingest"] not in ([], [killed]))
    ended = next(event for event in room.events() if event["event"] == "process.ended")
    assert ended["process"] == "ingest"
    assert ended["exit_code"] == -signal.SIGKILL


async def test_a_process_that_keeps_ending_is_started_later_and_later(room: Room) -> None:
    room.start("status-api", "raise SystemExit(3)")
    await room.until(lambda: sum(event["event"] == "process.ended" for event in room.events()) >= 3)
    pauses = [float(str(event["pause_seconds"])) for event in room.events() if event["event"] == "process.ended"]
    assert pauses == sorted(pauses)
    assert pauses[2] > 2 * pauses[0]


def test_the_pause_before_a_restart_is_bounded() -> None:
    pauses = [pause_before_restart(ends, Random(7)) for ends in range(1, 100)]
    assert pauses[0] < 0.5
    assert max(pauses) <= LONGEST_PAUSE_SECONDS * 1.25


async def test_a_stop_ends_every_process_and_none_is_started_again(room: Room) -> None:
    units = [room.start(name, SLEEP) for name in ("ingest", "status-api")]
    await room.supervisor.stop(["ingest", "status-api"], 5)
    assert not any(unit.is_running for unit in units)
    assert room.pids == {}
    await asyncio.sleep(0.3)
    assert not any(unit.is_running for unit in units)


async def test_what_does_not_stop_is_killed_and_named(room: Room, tmp_path: Path) -> None:
    unit = room.start("ingest", f"import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}")
    await room.until(lambda: "deaf" in unit.log.read_text())
    await room.supervisor.stop(["ingest"], 0.2)
    assert unit.process is not None
    assert unit.process.returncode == -signal.SIGKILL
    assert [event["process"] for event in room.events() if event["event"] == "process.killed"] == ["ingest"]


async def test_only_what_matters_is_relayed_from_a_log(room: Room) -> None:
    lines = [
        {"level": "info", "event": "http.request"},
        {"level": "error", "event": "provider.refused", "account": "a1"},
    ]
    script = f"print({json.dumps(lines[0])!r}); print({json.dumps(lines[1])!r}, flush=True); {SLEEP}"
    room.start("channel-sms", script, relays_log=True)
    await room.until(lambda: len(room.events()) >= 1)
    [event] = room.events()
    assert (event["service"], event["event"], event["account"]) == ("channel-sms", "provider.refused", "a1")


@pytest.mark.parametrize(
    ("code", "words"), [(1, "exit code 1"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99"), (None, "unknown")]
)
def test_an_exit_code_is_said_in_words(code: int | None, words: str) -> None:
    assert describe_exit(code) == words
