"""The data directory of a stack: what it keeps from one start to the next, and what it tells others about itself."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from sluice_local import processes
from sluice_local.processes import StartError


@dataclass(frozen=True, slots=True)
class Connections:
    """Where the servers behind the services are: brokers as host:port,… and a DSN with its password."""

    kafka: str
    postgres: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the stack is reached, and the key that opens it."""

    base_url: str
    api_key: str


class DataDirectory:
    """The files under one directory. Those that hold secrets are readable by their owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.logs = self.path / "logs"
        self.postgres = self.path / "postgres"
        self.kafka = self.path / "kafka"
        self.clock = self.path / "clock"
        self._credentials = self.path / "credentials.json"
        self._connections = self.path / "connections.json"
        self._processes = self.path / "processes.json"
        self._supervisor = self.path / "supervisor.pid"
        self._secret_key = self.path / "secret-key"
        self._ports = self.path / "ports.json"

    def open(self) -> TextIO:
        """Make the directory and take it for this process, until the returned file is closed or the process ends.

        Raises StartError when another process has it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711)
        self.logs.mkdir(exist_ok=True)
        self.logs.chmod(0o700)
        lock = (self.path / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            pid = self._supervisor.read_text() if self._supervisor.exists() else "unknown"
            raise StartError(
                f"a stack is running over {self.path} already (process {pid}); name another one with DATA="
            ) from None
        write(self._supervisor, str(os.getpid()))
        return lock

    def log(self, name: str) -> Path:
        """Return the log file of the process called `name`."""
        return self.logs / f"{name}.log"

    def secret_key(self) -> str:
        """Return the installation's secret: base64 of 32 bytes, made once."""
        if not self._secret_key.exists():
            write(self._secret_key, base64.b64encode(secrets.token_bytes(32)).decode(), mode=0o600)
        return self._secret_key.read_text()

    def port(self, name: str, taken: set[int]) -> int:
        """Return the port that `name` had the last time, or else a free one; add it to `taken` and remember it."""
        ports: dict[str, int] = _read_json(self._ports, {})
        port = ports.get(name)
        if port is None or port in taken or not processes.is_free(port):
            port = ports[name] = processes.free_port(taken={*taken, *ports.values()})
            write(self._ports, json.dumps(ports, indent=2, sort_keys=True))
        taken.add(port)
        return port

    def known_port(self, name: str) -> int:
        """Return the port that `name` has. Raises KeyError where it never had one."""
        ports: dict[str, int] = _read_json(self._ports, {})
        return ports[name]

    def write_processes(self, pids: Mapping[str, Sequence[int]]) -> None:
        """Publish the pids of every service and server that runs now."""
        write(self._processes, json.dumps(pids, indent=2))

    def processes(self) -> dict[str, list[int]]:
        """Return what `write_processes` published last; empty where nothing runs."""
        pids: dict[str, list[int]] = _read_json(self._processes, {})
        return pids

    def write_credentials(self, credentials: Credentials) -> None:
        """Publish where the stack is and its key."""
        write(self._credentials, json.dumps(asdict(credentials), indent=2) + "\n", mode=0o600)

    def credentials(self) -> Credentials | None:
        """Return what `write_credentials` published last."""
        content = _read_json(self._credentials, None)
        return Credentials(**content) if content else None

    def write_connections(self, connections: Connections) -> None:
        """Note where the servers are, for tools and tests."""
        write(self._connections, json.dumps(asdict(connections), indent=2) + "\n", mode=0o600)

    def connections(self) -> Connections | None:
        """Return what `write_connections` noted last."""
        content = _read_json(self._connections, None)
        return Connections(**content) if content else None

    def advance_clock(self, by: timedelta) -> timedelta:
        """Move the stack's clock forward and return how far it is ahead now.

        Raises ValueError for a negative `by`, StartError where there is no stack.
        """
        if by < timedelta(0):
            raise ValueError("a clock cannot go back")
        if not self.path.is_dir():
            raise StartError(f"there is no stack over {self.path}")
        ahead = self.clock_shift() + by
        write(self.clock, str(ahead.total_seconds()))
        return ahead

    def clock_shift(self) -> timedelta:
        """Return how far the stack's clock is ahead of the machine's."""
        try:
            return timedelta(seconds=float(self.clock.read_text() or 0))
        except FileNotFoundError:
            return timedelta(0)


def write(file: Path, text: str, *, mode: int = 0o644) -> None:
    """Put `text` into `file` so that a reader sees either the old content or the new, never a part."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as output:
        output.write(text)
    unfinished.replace(file)


def _read_json(file: Path, otherwise: Any) -> Any:
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return otherwise
    except PermissionError as error:
        raise StartError(f"{file} may be read by whoever started the stack alone: run this as the same user") from error
