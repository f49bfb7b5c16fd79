"""Publishes commands that are due: those that had to wait, and those that nobody has answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from orchestrator.adapters.commands import commands_sent, drop_commands, due_commands, next_due
from orchestrator.adapters.records import Records, executions_of
from orchestrator.domain.deadlines import Deadlines
from orchestrator.domain.running import Command, RunningTrigger, execution_of
from orchestrator.handlers.emission import Emission, Emitter, as_followers
from orchestrator.handlers.wake import TIMERS, Wake
from sluice_messaging.errors import TransientError
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import OutboundRecord
from sluice_runtime import metrics
from sluice_runtime.clock import Clock
from sluice_runtime.failpoints import FAILPOINTS
from sluice_storage.database import Connection, Database
from sluice_storage.errors import is_transient

_BATCH: Final = 100
_SHORTEST_SLEEP: Final = 0.01
_log = structlog.get_logger()


class CommandTimers:
    """Commands in due order, each by one copy at a time; a copy that dies leaves its commands as due as they were."""

    def __init__(
        self,
        database: Database,
        records: Records,
        emitter: Emitter,
        publisher: EventPublisher,
        clock: Clock,
        deadlines: Deadlines,
        wake: Wake,
        poll_seconds: float = 0.5,
    ) -> None:
        self._database = database
        self._records = records
        self._emitter = emitter
        self._publisher = publisher
        self._clock = clock
        self._deadlines = deadlines
        self._wake = wake
        self._poll_seconds = poll_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Publish due commands until `stop` is set."""
        sleeper = self._wake.subscribe(TIMERS)
        while not stop.is_set():
            try:
                pause = await self._pause()
                if not pause:
                    published = await self.publish_due()
                    while published == _BATCH and not stop.is_set():
                        published = await self.publish_due()
                    pause = 0.0 if published else _SHORTEST_SLEEP
            except Exception as error:
                if not (isinstance(error, TransientError) or is_transient(error)):
                    raise
                _log.warning("timers.delayed", error=type(error).__name__)
                pause = self._poll_seconds
            await sleeper.sleep(pause, stop)

    async def publish_due(self) -> int:
        """Publish what is due now, at most a batch; return how many commands were looked at.

        The rows stay locked while their records are on their way, so that a crash at any moment leaves them due.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            commands = await due_commands(connection, now, _BATCH)
            if not commands:
                return 0
            emissions = await self._emissions(connection, commands)
            records = await self._records_of(connection, emissions)
            FAILPOINTS.reach("orchestrator.timers_locked")
            await self._publisher.publish(records)
            FAILPOINTS.reach("orchestrator.timers_published")
            await commands_sent(
                connection,
                [(emission.command, self._deadlines.after(emission.command.sends + 1, now)) for emission in emissions],
            )
        for emission in emissions:
            if emission.command.sends:
                metrics.REPEATED_COMMANDS.labels(str(emission.plan.channel)).inc()
        return len(commands)

    async def _emissions(self, connection: Connection, commands: Sequence[Command]) -> list[Emission]:
        trigger_ids = {command.trigger_id for command in commands}
        triggers = await self._records.triggers(connection, trigger_ids)
        executions = await executions_of(connection, trigger_ids)
        emissions: list[Emission] = []
        lost: list[Command] = []
        for command in commands:
            trigger = triggers.get(command.trigger_id)
            execution = executions.get(command.trigger_id, {}).get(command.execution_id)
            plan = execution_of(trigger.plan, command.execution_id) if isinstance(trigger, RunningTrigger) else None
            if not isinstance(trigger, RunningTrigger) or execution is None or plan is None:
                lost.append(command)
            else:
                emissions.append(Emission(trigger, plan, execution, command))
        if lost:
            _log.error("commands.without_execution", commands=len(lost), execution_id=str(lost[0].execution_id))
            await drop_commands(connection, [(item.execution_id, item.page, item.round) for item in lost])
        return emissions

    async def _records_of(self, connection: Connection, emissions: Sequence[Emission]) -> list[OutboundRecord]:
        """Build records; one command that cannot be built does not keep the others, and comes again at its deadline."""
        try:
            return as_followers(emissions, await self._emitter.records(connection, emissions))
        except Exception as error:
            if isinstance(error, TransientError) or is_transient(error):
                raise
            if len(emissions) == 1:
                command = emissions[0].command
                _log.exception(
                    "command.not_built",
                    execution_id=str(command.execution_id),
                    page=command.page,
                    round=command.round,
                )
                return []
        return [record for emission in emissions for record in await self._records_of(connection, [emission])]

    async def _pause(self) -> float:
        """Return in how many seconds to look again: none, where something is due."""
        async with self._database.connection() as connection:
            moment = await next_due(connection)
        if moment is None:
            return self._poll_seconds
        seconds = (moment - self._clock.now()).total_seconds()
        return min(self._poll_seconds, max(0.0, seconds))
