"""Which installation a tool works on: the stack over a data directory, or clusters of one's own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg

from sluice_local.data import Credentials, DataDirectory
from sluice_local.migration import dsn_without_password
from sluice_local.operating.errors import OperatingError
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka.address import shown
from sluice_messaging.kafka.inspection import KafkaInspector
from sluice_runtime.clock import Clock, ShiftedClock, SystemClock

CLIENT: Final = "sluice-operator"
_CONNECT_SECONDS: Final = 4.0
_STATEMENT_SECONDS: Final = 60.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything of one installation is. `data` is None for clusters of one's own.

    `api` is where the HTTP API is and the key that opens it; None where nobody said.
    """

    kafka: str
    postgres: str
    clock: Clock
    data: DataDirectory | None
    api: Credentials | None

    @classmethod
    def find(cls, path: Path, environment: Mapping[str, str] = os.environ) -> Installation:
        """Return the installation that the environment names, or else the stack over `path`.

        The environment names one with both `SLUICE_KAFKA` and `SLUICE_POSTGRES`; `SLUICE_PUBLIC_URL` and
        `SLUICE_API_KEY` say where its API is, `SLUICE_CLOCK_FILE` which clock it runs on. Raises OperatingError.
        """
        kafka, postgres = environment.get("SLUICE_KAFKA", ""), environment.get("SLUICE_POSTGRES", "")
        if bool(kafka) != bool(postgres):
            missing = "SLUICE_POSTGRES" if kafka else "SLUICE_KAFKA"
            raise OperatingError(
                f"{missing} is not set: clusters of your own are named by SLUICE_KAFKA and SLUICE_POSTGRES"
            )
        api_key = environment.get("SLUICE_API_KEY", "")
        if kafka:
            url, clock_file = environment.get("SLUICE_PUBLIC_URL", ""), environment.get("SLUICE_CLOCK_FILE", "")
            return cls(
                kafka=kafka,
                postgres=postgres,
                clock=ShiftedClock(Path(clock_file)) if clock_file else SystemClock(),
                data=None,
                api=Credentials(url, api_key) if url and api_key else None,
            )
        data = DataDirectory(path)
        connections = data.connections()
        if connections is None:
            raise OperatingError(
                f"there is no stack over {data.path}; start one with `make up`, name another with --data, or set "
                "SLUICE_KAFKA and SLUICE_POSTGRES to work on clusters of your own"
            )
        known = data.credentials()
        api = Credentials(known.base_url, api_key or known.api_key) if known else None
        return cls(connections.kafka, connections.postgres, ShiftedClock(data.clock), data, api)

    @asynccontextmanager
    async def database(self, schema: str, seconds: float = _STATEMENT_SECONDS) -> AsyncIterator[Connection]:
        """Connect to the database with `schema` in the path, for statements of up to `seconds`.

        Raises OperatingError when it does not answer, and for a table that is not there: then migrations are missing.
        """
        shown = dsn_without_password(self.postgres)
        try:
            connection = await asyncpg.connect(
                self.postgres,
                timeout=_CONNECT_SECONDS,
                command_timeout=seconds,
                server_settings={"application_name": CLIENT, "search_path": schema, "jit": "off"},
            )
        except ValueError as error:
            raise OperatingError(f"the database's address {shown} cannot be used: {said(error)}") from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise OperatingError(f"the database {shown} does not answer: {said(error)}") from error
        try:
            yield connection
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedColumnError) as error:
            raise OperatingError(f"the database {shown} is not up to date: {error}; run `sluice migrate`") from error
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.QueryCanceledError) as error:
            raise OperatingError(f"the database {shown} stopped answering: {said(error)}") from error
        finally:
            await _close(connection)

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[KafkaInspector]:
        """Connect to the brokers for reading. Raises OperatingError when they do not answer."""
        try:
            async with KafkaInspector(self.kafka, CLIENT) as inspector:
                yield inspector
        except BrokerUnavailableError as error:
            raise OperatingError(f"the Kafka brokers {shown(self.kafka)} do not answer: {error}") from error

    def log(self, process: str) -> str:
        """Return where to read what `process` said."""
        return "its log" if self.data is None else str(self.data.log(process))


def said(error: BaseException) -> str:
    """Return the words of `error`; some that mean "no answer" have none."""
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
