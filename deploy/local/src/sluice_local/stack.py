"""A whole stack under a test's control: `sluice up` as a child process, and a handle to everything in it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from sluice_catalog.api_keys import new_secret
from sluice_local import processes
from sluice_local.data import Connections, Credentials, DataDirectory
from sluice_local.migration import bootstrap_workspace
from sluice_local.processes import StartError
from sluice_local.services import copy_name

_DOORS: Final = {"ingest": "/api/v1/templates?limit=1", "status-api": "/api/v1/triggers?limit=1"}
"""One path of each service behind the gateway that asks for a key."""


class Stack:
    """The stack over `data_dir`; a context manager that starts and stops it.

    `environment` reaches every service. With `port` 0 a free port is chosen once and kept.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        copies: Mapping[str, int] | None = None,
        brokers: Literal[1, 3] = 1,
        environment: Mapping[str, str] | None = None,
        *,
        kafka: str = "",
        postgres: str = "",
    ) -> None:
        self.data = DataDirectory(data_dir)
        self._command = [
            *(sys.executable, "-m", "sluice_local", "up"),
            *("--data", str(self.data.path), "--port", str(port), "--brokers", str(brokers), "--log", "error"),
            *(("--kafka", kafka) if kafka else ()),
            *(("--postgres", postgres) if postgres else ()),
        ]
        if copies:
            self._command += ["--copies", " ".join(f"{service}={number}" for service, number in copies.items())]
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout: float = 240.0) -> None:
        """Start everything and return once a request would really work. Raises StartError with the end of the log."""
        self.stop()
        log = self.data.log("sluice")
        size = log.stat().st_size if log.exists() else 0
        self._process = processes.spawn(
            self._command, log=log, environment=self._environment, death_signal=signal.SIGTERM
        )

        def is_ready() -> bool:
            with contextlib.suppress(FileNotFoundError), log.open("rb") as output:
                output.seek(size)
                return any(line.startswith(b"ready http") for line in output)
            return False

        try:
            processes.wait_until(is_ready, self._process, "the stack", log, timeout)
        except StartError:
            self.stop()
            raise

    def stop(self, timeout: float = 30.0) -> bool:
        """Stop everything in order. Returns whether it ended by itself within `timeout` seconds."""
        if self._process is None:
            return True
        clean = processes.stop(self._process, signal.SIGTERM, timeout)
        self._process = None
        return clean

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._credentials.base_url

    @property
    def api_key(self) -> str:
        """A key with every scope."""
        return self._credentials.api_key

    @property
    def supervisor(self) -> int:
        """The pid of `sluice up` itself."""
        if self._process is None:
            raise StartError("the stack is not running")
        return self._process.pid

    def status(self, path: str, api_key: str | None = None) -> int:
        """Return the HTTP status of GET `path` (with our key unless told), or 0 if nothing answers."""
        return _get(self.base_url + path, {"X-API-Key": api_key or self.api_key})

    def pids(self, service: str) -> list[int]:
        """Return the pids of the processes of `service` (or of "postgres", "kafka", "caddy") that run now."""
        return self.data.processes().get(service, [])

    def kill(self, service: str, signum: signal.Signals = signal.SIGKILL) -> list[int]:
        """Send `signum` to every process of `service` and return their pids; the supervisor starts them again."""
        pids = self.pids(service)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        return pids

    def restart(self, service: str, timeout: float = 60.0) -> None:
        """Replace every process of `service`, one after the other, each only once the one before it is ready."""
        for number, pid in enumerate(self.pids(service), start=1):
            os.kill(pid, signal.SIGTERM)
            ready = f"http://127.0.0.1:{self.data.known_port(copy_name(service, number))}/ready"
            self.wait(partial(self._is_replaced, service, pid, ready), f"{service} runs again", timeout)

    def create_workspace(self, name: str) -> str:
        """Make another workspace, that can send through the sandbox; return a key with every scope, once it works."""
        api_key = new_secret().secret
        secret = base64.b64decode(self.data.secret_key())
        # Not on the caller's thread, which may be running a loop of its own.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, bootstrap_workspace(self.connections.postgres, secret, api_key, name)).result()
        self.wait(lambda: self._opens_everywhere(api_key), f"the key of {name} works")
        return api_key

    def advance_clock(self, by: timedelta) -> None:
        """Move the clock of every service forward."""
        self.data.advance_clock(by)

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
        """Return once `condition` holds; raises TimeoutError saying `what` did not come true."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout:.0f} s: {what}")
            time.sleep(0.05)

    def _opens_everywhere(self, api_key: str) -> bool:
        """Whether a key opens every door through the gateway, and at every copy behind it."""
        headers = {"X-API-Key": api_key}
        behind = (
            f"http://127.0.0.1:{self.data.known_port(copy_name(service, number))}{door}"
            for service, door in _DOORS.items()
            for number, _ in enumerate(self.pids(service), start=1)
        )
        urls = (*(self.base_url + door for door in _DOORS.values()), *behind)
        return all(_get(url, headers) == 200 for url in urls)

    def _is_replaced(self, service: str, old: int, ready: str) -> bool:
        return old not in self.pids(service) and _get(ready) == 200

    @property
    def connections(self) -> Connections:
        """Where the broker and the database are."""
        connections = self.data.connections()
        if connections is None:
            raise StartError("the stack was never started")
        return connections

    @property
    def _credentials(self) -> Credentials:
        credentials = self.data.credentials()
        if credentials is None:
            raise StartError("the stack was never started")
        return credentials


def _get(url: str, headers: Mapping[str, str] | None = None) -> int:
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 (always our own address)
    try:
        with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310 (always our own address)
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, http.client.HTTPException):
        return 0
