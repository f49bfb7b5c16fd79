"""Fixtures for every test of the repository: a real PostgreSQL and a real Apache Kafka, started once a session.

`SLUICE_TEST_POSTGRES` (a DSN whose user may create databases) and `SLUICE_TEST_KAFKA` (host:port,…) name servers that
are running already; then nothing is started.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from sluice_local import postgres, processes
from sluice_local.kafka import BrokerPorts, Kafka
from sluice_local.postgres import Postgres

_OWN_FOLDER = pytest.StashKey[Path]()

# The same examples in every run: what is green stays green until the code changes, and
# `make test T="--hypothesis-profile=default …"` looks for new ones. How long one takes says how busy the machine is.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give each worker ports of its own, and each session of root's a temporary folder to itself.

    PostgreSQL runs under another account then and must be able to pass through the folders above its data, but pytest
    closes the folder that all sessions share to other accounts whenever one starts.
    """
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        each = 10_000 // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        first = 20_000 + int(worker.removeprefix("gw")) * each
        os.environ["SLUICE_PORTS"] = f"{first}-{first + each}"
    if os.geteuid() == 0 and config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="sluice-tests-")
        config.stash[_OWN_FOLDER] = Path(config.option.basetemp)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remove that folder, unless something failed and its logs are wanted."""
    folder = session.config.stash.get(_OWN_FOLDER, None)
    if folder is not None and exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server in which tests make databases of their own."""

    dsn: str

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction, in the database `postgres`."""
        psql = [str(postgres.binaries() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.dsn]
        subprocess.run(psql, check=True, input=statement, text=True, capture_output=True)  # noqa: S603 (no shell)

    def database(self, name: str) -> str:
        """Return the DSN of the database called `name`."""
        return urlsplit(self.dsn)._replace(path=f"/{name}").geturl()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL 18 for the whole session."""
    if running := os.environ.get("SLUICE_TEST_POSTGRES"):
        yield PostgresServer(running)
        return
    folder = Path(tempfile.mkdtemp(prefix="sluice-postgres-"))
    server = Postgres(folder / "data", processes.free_port(), folder / "postgres.log")
    try:
        server.prepare()
        server.start()
        server.wait_ready()
        made = PostgresServer(server.dsn())
        # What it writes on its own account, nobody knows when, keeps what tests wrote a moment ago from being visible
        # to those who read only up to the oldest transaction that is under way.
        made.execute("alter system set autovacuum = off")
        made.execute("select pg_reload_conf()")
        yield made
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """The DSN of a fresh, empty database, dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.execute(f"create database {name}")
    yield postgres_server.database(name)
    postgres_server.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of one Kafka broker for the whole session. It has no topics: a test creates its own, by new names."""
    if running := os.environ.get("SLUICE_TEST_KAFKA"):
        yield running
        return
    folder = Path(tempfile.mkdtemp(prefix="sluice-kafka-"))
    client, controller = processes.free_ports(2)
    cluster = Kafka(folder / "data", [BrokerPorts(client, controller)], folder)
    try:
        cluster.prepare()
        cluster.start()
        cluster.wait_ready()
        yield cluster.bootstrap
    finally:
        for process in cluster.processes.values():
            processes.stop(process, signal.SIGKILL, timeout=10)
        shutil.rmtree(folder, ignore_errors=True)
