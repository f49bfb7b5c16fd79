"""Child processes that end with their parent, write to a log file and can be told from everybody else's."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import psutil

STACK_VARIABLE: Final = "SLUICE_STACK"
"""Set in the environment of every process of a stack to the absolute path of its data directory."""

_PR_SET_PDEATHSIG: Final = 1
_LOG_LIMIT_BYTES: Final = 32 * 1024 * 1024
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's account that a process runs under."""

    uid: int
    gid: int


class StartError(Exception):
    """A process did not become ready; the message is written for the person at the terminal."""


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    account: Account | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, its output appended to `log`.

    On Linux the kernel sends it `death_signal` when the calling thread ends, however that ends; so call this from a
    thread that lives as long as the child should, best the main one. Elsewhere `stop_leftovers` finds it later.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=_tether(death_signal),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def _tether(death_signal: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    prctl, parent = _libc.prctl, os.getpid()

    def tether() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return tether


def stop(process: subprocess.Popen[bytes], signum: signal.Signals, timeout: float) -> bool:
    """Send `signum`, wait `timeout` seconds, then kill. Returns whether the process went by itself."""
    if process.poll() is None:
        process.send_signal(signum)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def stop_leftovers(data: Path, timeout: float = 5.0) -> list[int]:
    """End every process of an earlier stack over `data`, which nobody supervises any more; return their pids.

    A process is ours when its environment names `data`: a pid in a file could by now be somebody else's.
    """
    leftovers = [process for process in psutil.process_iter() if _belongs_to(process, data)]
    _signal_all(leftovers, psutil.Process.terminate)
    _, alive = psutil.wait_procs(leftovers, timeout)
    _signal_all(alive, psutil.Process.kill)
    psutil.wait_procs(alive, timeout)
    return sorted(process.pid for process in leftovers)


def _signal_all(processes: Iterable[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            send(process)
        except psutil.NoSuchProcess:
            continue


def _belongs_to(process: psutil.Process, data: Path) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        return bool(process.environ().get(STACK_VARIABLE) == str(data))
    except (psutil.Error, OSError):
        return False


def free_port(host: str = "127.0.0.1", *, taken: Iterable[int] = ()) -> int:
    """Return a port of `host` that nobody listens on, below the range from which outgoing connections take theirs.

    The variable SLUICE_PORTS ("20000-25000") narrows the choice: those who start much side by side keep out of each
    other's way, for a port is not taken yet when it has been chosen.
    """
    first, last = map(int, os.environ.get("SLUICE_PORTS", "20000-30000").split("-"))
    avoided = set(taken)
    random = Random()
    for _ in range(1000):
        port = random.randrange(first, last)
        if port not in avoided and is_free(port, host):
            return port
    raise StartError(f"no free port between {first} and {last} on {host}")


def free_ports(count: int) -> list[int]:
    """Return so many ports as `free_port` would, no two of them the same."""
    found: list[int] = []
    for _ in range(count):
        found.append(free_port(taken=found))
    return found


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen on `port` of `host` now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether somebody accepts connections on `port` of `host`."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def wait_until(
    condition: Callable[[], bool], process: subprocess.Popen[bytes], name: str, log: Path, timeout: float
) -> None:
    """Wait until `condition` holds. Raises StartError with the end of `log` if `process` ends or time is up."""
    deadline = time.monotonic() + timeout
    while not condition():
        if process.poll() is not None:
            raise StartError(f"{name} ended with {process.returncode} while starting\n{tail(log)}")
        if time.monotonic() > deadline:
            raise StartError(f"{name} was not ready within {timeout:.0f} s\n{tail(log)}")
        time.sleep(0.05)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of `log`, and where the rest is."""
    try:
        text = log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        text = []
    return "\n".join([*(f"    {line}" for line in text), f"  (all of it: {log})"])
