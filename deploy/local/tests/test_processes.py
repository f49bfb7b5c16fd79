"""Processes end with whoever started them, and nobody else's are touched."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sluice_local import processes
from sluice_local.processes import STACK_VARIABLE, StartError

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "did not come true within a minute"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def spawned() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's end")
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from sluice_local import processes\n"
        f"child = processes.spawn({SLEEP!r}, log=Path({str(tmp_path / 'child.log')!r}))\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        parent.kill()
    wait_until(lambda: is_gone(child))


def test_only_the_processes_of_this_stack_are_leftovers(tmp_path: Path, spawned: list[subprocess.Popen[bytes]]) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    spawned.extend(
        processes.spawn(SLEEP, log=tmp_path / "log", environment={STACK_VARIABLE: str(data)}) for data in (mine, others)
    )
    wait_until(lambda: all(STACK_VARIABLE in psutil.Process(process.pid).environ() for process in spawned))
    assert processes.stop_leftovers(mine) == [spawned[0].pid]
    assert is_gone(spawned[0].pid)
    assert not is_gone(spawned[1].pid)


def test_a_leftover_that_ignores_sigterm_is_killed(tmp_path: Path, spawned: list[subprocess.Popen[bytes]]) -> None:
    log = tmp_path / "log"
    spawned.append(processes.spawn(DEAF, log=log, environment={STACK_VARIABLE: str(tmp_path)}))
    wait_until(lambda: log.exists() and "deaf" in log.read_text())
    processes.stop_leftovers(tmp_path, timeout=0.2)
    wait_until(lambda: is_gone(spawned[0].pid))


def test_a_process_that_ends_while_starting_shows_the_end_of_its_log(
    tmp_path: Path, spawned: list[subprocess.Popen[bytes]]
) -> None:
    log = tmp_path / "broken.log"
    spawned.append(processes.spawn([sys.executable, "-c", "raise SystemExit('no such luck')"], log=log))
    with pytest.raises(StartError, match=r"(?s)broken ended with 1 .*no such luck.*broken\.log"):
        processes.wait_until(lambda: False, spawned[0], "broken", log, timeout=10)


def test_a_child_does_not_hear_the_terminals_interrupt(tmp_path: Path, spawned: list[subprocess.Popen[bytes]]) -> None:
    spawned.append(processes.spawn(SLEEP, log=tmp_path / "log"))
    assert os.getpgid(spawned[0].pid) != os.getpgid(0)


def test_a_free_port_is_not_one_that_is_taken() -> None:
    port = processes.free_port()
    assert 20_000 <= port < 30_000
    assert processes.is_free(port)
    with pytest.raises(StartError, match="no free port"):
        processes.free_port(taken=range(20_000, 30_000))


def test_ports_can_be_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_PORTS", "29990-30000")
    assert 29_990 <= processes.free_port() < 30_000
    assert len(set(processes.free_ports(5))) == 5
    with pytest.raises(StartError, match="between 29990 and 30000"):
        processes.free_port(taken=range(29_990, 30_000))
