"""`sluice up`: start everything, keep it running, stop it in order."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from time import monotonic
from typing import Final

import aiohttp

from sluice_catalog.api_keys import new_secret
from sluice_local import gateway, processes, services
from sluice_local.data import Connections, Credentials, DataDirectory
from sluice_local.migration import bootstrap_workspace, migrate_broker, migrate_database
from sluice_local.options import SERVICES, StackOptions
from sluice_local.processes import StartError
from sluice_local.readiness import Readiness
from sluice_local.servers import Servers
from sluice_local.services import Copy, Surroundings
from sluice_local.supervision import Supervisor, Unit
from sluice_local.tasks import together
from sluice_local.terminal import Terminal

_STILL_WAITING_SECONDS: Final = 10.0
_STOP_ORDER: Final = ((("caddy",), 3.0), (SERVICES, 12.5), (("kafka",), 17.5), (("postgres",), 19.5))
"""What stops after what, and how many seconds after the signal it is killed if it is still there."""


async def up(options: StackOptions, terminal: Terminal) -> int:
    """Run a stack until SIGINT or SIGTERM; return the exit code. A second signal kills whatever is left at once."""
    data = DataDirectory(options.data)
    with data.open():
        supervisor = Supervisor(terminal, data.write_processes)
        async with _until_signalled(supervisor) as stopping:
            running = asyncio.create_task(_Start(options, data, supervisor, terminal).run(), name="stack")
            stop = asyncio.create_task(stopping.wait(), name="stop")
            await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            running.cancel()
            try:
                await running
            except asyncio.CancelledError:
                terminal.say("stack.stopping", "stopping")
                return 0
            except StartError as error:
                terminal.say("stack.failed", str(error), level="error")
                return 1
            finally:
                began = monotonic()
                for stopped, killed_after in _STOP_ORDER:
                    await supervisor.stop(stopped, began + killed_after - monotonic())
                terminal.say("stack.stopped", "stopped")
    return 0


@contextlib.asynccontextmanager
async def _until_signalled(supervisor: Supervisor) -> AsyncIterator[asyncio.Event]:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()

    def handle() -> None:
        if stopping.is_set():
            supervisor.kill_all()
            os._exit(130)
        stopping.set()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, handle)
    yield stopping


class _Start:
    """The steps from nothing to a stack that answers, and then watching it."""

    def __init__(self, options: StackOptions, data: DataDirectory, supervisor: Supervisor, terminal: Terminal) -> None:
        self._options = options
        self._data = data
        self._supervisor = supervisor
        self._terminal = terminal
        self._began = monotonic()

    async def run(self) -> None:
        """Start everything and watch it; returns never. Raises StartError."""
        self._terminal.say("stack.starting", f"starting over {self._data.path}", data=str(self._data.path))
        self._clear_up()
        taken: set[int] = set()
        port = self._public_port(taken)
        base_url = f"http://{self._options.reachable_host}:{port}"
        public_url = self._options.public_url or base_url
        copies = services.plan_copies(self._options, self._data, taken)
        servers = Servers(self._options, self._data, self._supervisor, self._terminal, taken)
        known = self._data.credentials()
        credentials = Credentials(base_url, known.api_key if known else new_secret().secret)
        self._data.write_credentials(credentials)
        postgres, kafka = await together(self._database(servers, credentials.api_key), self._broker(servers))
        self._data.write_connections(Connections(kafka, postgres))
        surroundings = Surroundings(kafka, postgres, self._data.secret_key(), public_url, self._data)
        for copy in copies:
            self._supervisor.start(services.unit(copy, surroundings, self._options))
        self._supervisor.start(self._caddy(port, copies))
        await together(self._supervisor.watch(), self._announce(copies, credentials))

    def _clear_up(self) -> None:
        leftovers = processes.stop_leftovers(self._data.path)
        if leftovers:
            self._terminal.say(
                "stack.leftovers",
                f"stopped {len(leftovers)} processes that an earlier stack had left running",
                level="warning",
                pids=leftovers,
            )
        self._data.write_processes({})

    def _public_port(self, taken: set[int]) -> int:
        port = self._options.port or self._data.port("gateway", taken)
        if not processes.is_free(port, self._options.host):
            raise StartError(f"port {port} of {self._options.host} is taken; choose another one with PORT=")
        taken.add(port)
        if self._options.is_open_to_others:
            self._terminal.say(
                "stack.open",
                f"listening on {self._options.host}: other machines can reach this stack, without TLS",
                level="warning",
            )
        return port

    async def _database(self, servers: Servers, api_key: str) -> str:
        dsn = await servers.postgres()
        await migrate_database(dsn)
        await bootstrap_workspace(dsn, base64.b64decode(self._data.secret_key()), api_key)
        return dsn

    async def _broker(self, servers: Servers) -> str:
        bootstrap = await servers.kafka()
        await migrate_broker(bootstrap, servers.replication)
        return bootstrap

    def _caddy(self, port: int, copies: list[Copy]) -> Unit:
        caddyfile = self._data.path / "Caddyfile"
        caddyfile.write_text(gateway.configuration())
        log = self._data.log("caddy")
        environment = gateway.environment(
            self._options.host,
            port,
            [copy.port for copy in copies if copy.service == "ingest"],
            [copy.port for copy in copies if copy.service == "status-api"],
            self._data.path / "caddy",
        )
        launch = partial(
            processes.spawn,
            [gateway.find_caddy(), "run", "--adapter", "caddyfile", "--config", caddyfile],
            log=log,
            environment={**environment, processes.STACK_VARIABLE: str(self._data.path)},
        )
        return Unit("caddy", "caddy", launch, log)

    async def _announce(self, copies: list[Copy], credentials: Credentials) -> None:
        async with aiohttp.ClientSession() as session:
            readiness = Readiness(session, copies, credentials)
            while True:
                try:
                    async with asyncio.timeout(_STILL_WAITING_SECONDS):
                        await readiness.wait()
                    break
                except TimeoutError:
                    missing = await readiness.missing()
                    self._terminal.say(
                        "stack.waiting", "still waiting for " + "; ".join(missing), level="warning", missing=missing
                    )
        seconds = monotonic() - self._began
        self._terminal.say(
            "stack.ready",
            f"ready after {seconds:.1f} s; the API key is in {self._data.path / 'credentials.json'}",
            seconds=round(seconds, 2),
        )
        self._terminal.announce(f"ready {credentials.base_url}")
