"""The database and the broker of a stack: started here, or the user's own."""

from __future__ import annotations

import asyncio
from functools import partial

from sluice_local import processes
from sluice_local.data import DataDirectory
from sluice_local.kafka import BrokerPorts, Kafka
from sluice_local.migration import create_database
from sluice_local.options import StackOptions
from sluice_local.postgres import Postgres
from sluice_local.supervision import Supervisor, Unit
from sluice_local.terminal import Terminal
from sluice_messaging.kafka.address import server_count


class Servers:
    """Starts the servers that the options do not name. A method waits only for what it returns: call both at once."""

    def __init__(
        self, options: StackOptions, data: DataDirectory, supervisor: Supervisor, terminal: Terminal, taken: set[int]
    ) -> None:
        self._options = options
        self._data = data
        self._supervisor = supervisor
        self._terminal = terminal
        self._taken = taken
        self._environment = {processes.STACK_VARIABLE: str(data.path)}

    @property
    def replication(self) -> int:
        """How many copies a broker keeps of each topic: 3 where there are three brokers or the user's own cluster."""
        if self._options.kafka:
            return min(3, server_count(self._options.kafka))
        return self._options.brokers

    async def postgres(self) -> str:
        """Return the DSN of a database that answers."""
        if self._options.postgres:
            return self._options.postgres
        port = self._data.port("postgres", self._taken)
        server = Postgres(self._data.postgres, port, self._data.log("postgres"), self._environment)
        await asyncio.to_thread(server.prepare)
        self._supervisor.start(Unit("postgres", "postgres", server.start, server.log, stop_signal=Postgres.stop_signal))
        await asyncio.to_thread(server.wait_ready)
        return await create_database(server.dsn())

    async def kafka(self) -> str:
        """Return the addresses of brokers that answer."""
        if self._options.kafka:
            return self._options.kafka
        ports = [
            BrokerPorts(
                self._data.port(f"kafka-{node}", self._taken), self._data.port(f"kafka-{node}-controller", self._taken)
            )
            for node in range(1, self._options.brokers + 1)
        ]
        cluster = Kafka(
            self._data.kafka, ports, self._data.logs, self._environment, progress=partial(_say_fetched, self._terminal)
        )
        await asyncio.to_thread(cluster.prepare)
        for node in cluster.nodes:
            launch = partial(cluster.start_broker, node)
            self._supervisor.start(Unit(f"kafka-{node}", "kafka", launch, cluster.log(node)))
        await asyncio.to_thread(cluster.wait_ready)
        return cluster.bootstrap


def _say_fetched(terminal: Terminal, done: int, total: int) -> None:
    terminal.say("kafka.jars", f"fetching Apache Kafka, once: {done} of {total} jars", done=done, total=total)
