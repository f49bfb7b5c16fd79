"""Feeds stages: each turn a few pages of the cohort become commands, for as long as the stage has credit.

A turn is: lease, read, write (checkpoint and commands in one transaction, behind the lease as a fence), publish, give
the lease back. What was written and perhaps not published is published again by whoever leases the stage next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from orchestrator.adapters.commands import open_commands
from orchestrator.adapters.records import (
    add_cohort_pages,
    advance_executions,
    count_cohort,
    start_executions,
)
from orchestrator.adapters.stages import (
    StageKey,
    abandon_stages,
    advance_stages,
    hold_leases,
    lease_stages,
    release_stages,
)
from orchestrator.domain.pace import Pace
from orchestrator.domain.running import Stage
from orchestrator.handlers.turns import Turn, TurnMaker
from orchestrator.handlers.wake import Feeding, Wake
from sluice_contracts.identifiers import new_id
from sluice_contracts.vocabulary import Lane
from sluice_messaging.errors import TransientError
from sluice_messaging.ports import EventPublisher
from sluice_runtime.clock import Clock
from sluice_runtime.failpoints import FAILPOINTS
from sluice_storage.database import Connection, Database
from sluice_storage.errors import is_transient

_COUNT_SECONDS: Final = 5.0
_STARVED_REST: Final = timedelta(seconds=1)
_STUCK_REST: Final = timedelta(seconds=60)
_log = structlog.get_logger()


class StageRunner:
    """Any number of these, in any number of processes, share the stages that are due."""

    def __init__(
        self,
        database: Database,
        maker: TurnMaker,
        publisher: EventPublisher,
        clock: Clock,
        pace: Pace,
        wake: Wake,
        poll_seconds: float = 0.5,
    ) -> None:
        self._database = database
        self._maker = maker
        self._publisher = publisher
        self._clock = clock
        self._pace = pace
        self._wake = wake
        self._poll_seconds = poll_seconds

    async def run(self, stop: asyncio.Event, lane: Lane, *, walks: bool) -> None:
        """Feed stages of one lane until `stop` is set; those that walk an audience apart from the others."""
        sleeper = self._wake.subscribe(Feeding(lane, walks))
        while not stop.is_set():
            try:
                fed = await self.turn(lane, walks=walks)
            except Exception as error:
                if not (isinstance(error, TransientError) or is_transient(error)):
                    raise
                _log.warning("stages.delayed", lane=str(lane), error=type(error).__name__)
                fed = 0
            if not fed:
                await sleeper.sleep(self._poll_seconds, stop)

    async def turn(self, lane: Lane, *, walks: bool) -> int:
        """Feed the stages whose turn it is; return how many there were."""
        now = self._clock.now()
        owner = new_id()
        async with self._database.connection() as connection:
            stages = await lease_stages(
                connection,
                now,
                lane,
                walks=walks,
                fed_below=self._pace.fed_below,
                limit=self._pace.walks if walks else self._pace.stages,
                owner=owner,
                until=now + self._pace.lease,
            )
        if stages:
            FAILPOINTS.reach("orchestrator.stage_leased")
            await self._feed_guarded(stages, owner)
        return len(stages)

    async def _feed_guarded(self, stages: Sequence[Stage], owner: UUID) -> None:
        """Feed stages; where one cannot be, the others are fed without it and it rests."""
        try:
            await self._feed(stages, owner)
        except Exception as error:
            keys = [(stage.trigger_id, stage.step_order) for stage in stages]
            if isinstance(error, TransientError) or is_transient(error):
                await self._abandon(keys, owner, self._clock.now())
                raise
            if len(stages) > 1:
                for stage in stages:
                    await self._feed_guarded([stage], owner)
                return
            _log.exception("stage.stuck", trigger_id=str(keys[0][0]), step_order=keys[0][1])
            await self._abandon(keys, owner, self._clock.now() + _STUCK_REST)

    async def _abandon(self, keys: Sequence[StageKey], owner: UUID, rest_until: datetime) -> None:
        try:
            async with self._database.connection() as connection:
                await abandon_stages(connection, owner, keys, rest_until)
        except Exception as error:
            if not is_transient(error):
                raise
            # The lease then runs out by itself.
            _log.warning("stages.not_given_back", error=type(error).__name__)

    async def _feed(self, stages: Sequence[Stage], owner: UUID) -> None:
        async with self._database.connection() as connection:
            turns, lost = await self._maker.turns(connection, stages)
            people = await self._maker.command(turns)
            written = await self._write(connection, turns, owner)
            FAILPOINTS.reach("orchestrator.stage_committed")
            await self._publisher.publish(await self._maker.records(connection, written, people))
            FAILPOINTS.reach("orchestrator.stage_published")
            rest_until = self._clock.now() + _STARVED_REST
            await release_stages(
                connection,
                owner,
                {turn.key: rest_until if turn.starved else None for turn in written if not turn.ended},
                [*lost, *(turn.key for turn in written if turn.ended)],
            )
        self._wake.signal(
            *{Feeding(turn.trigger.accepted.lane, walks=False) for turn in written if turn.ended and turn.stage.walks}
        )

    async def _write(self, connection: Connection, turns: Sequence[Turn], owner: UUID) -> list[Turn]:
        """Write the checkpoints and what they promise; return those turns whose lease still held."""
        async with connection.transaction():
            for turn in turns:
                if turn.cohort_total is not None:
                    await count_cohort(connection, turn.stage.trigger_id, turn.cohort_total, owner)
            held = await hold_leases(connection, [turn.key for turn in turns], owner)
            mine = [turn for turn in turns if turn.key in held]
            await advance_stages(connection, [turn.advance for turn in mine])
            walked = [(turn.stage.trigger_id, *page) for turn in mine if turn.stage.walks for page in turn.pages]
            if walked:
                await add_cohort_pages(connection, walked)
            started = [(*turn.key, turn.executions[item.execution_id]) for turn in mine for item in turn.starts]
            if started:
                await start_executions(connection, started)
            further = [advance for turn in mine if not turn.stage.ended for advance in turn.further]
            if further:
                await advance_executions(connection, further)
            commands = [command for turn in mine for command in turn.commands]
            if commands:
                await open_commands(connection, commands)
        if len(mine) < len(turns):
            _log.info("stages.lease_lost", stages=len(turns) - len(mine))
        return mine
