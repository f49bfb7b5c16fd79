"""Carries out what somebody asks of a trigger: cancel, pause, resume, try failed jobs again, send commands again."""

from __future__ import annotations

from uuid import UUID

import structlog

from orchestrator.adapters import requests
from orchestrator.adapters.commands import WaitingCommand, allot_rounds, modes_held_still, note_retries, open_commands
from orchestrator.adapters.records import Records, cohort_pages, executions_of
from orchestrator.domain.running import Mode, RunningTrigger, execution_of
from orchestrator.handlers.announcing import said_of, tell_waits, tell_workers
from orchestrator.handlers.wake import EVERYONE, Wake
from sluice_contracts.identifiers import PAGE_SIZE, page_of
from sluice_contracts.messages.trigger import RepeatRequested, RetryRequested, TriggerActionRequested
from sluice_messaging.ports import EventPublisher
from sluice_runtime.clock import Clock
from sluice_runtime.failpoints import FAILPOINTS
from sluice_storage.database import Connection, Database

_MODES = {"cancel": Mode.CANCELLED, "pause": Mode.PAUSED, "resume": Mode.RUNNING}
_log = structlog.get_logger()


class RequestHandler:
    """Late, repeated and foreign requests change nothing."""

    def __init__(
        self, database: Database, records: Records, publisher: EventPublisher, clock: Clock, wake: Wake
    ) -> None:
        self._database = database
        self._records = records
        self._publisher = publisher
        self._clock = clock
        self._wake = wake

    async def act(self, request: TriggerActionRequested) -> None:
        """Cancel, pause or resume; then say how the trigger stands."""
        changed = await self._database.in_transaction(lambda connection: self._change(connection, request))
        FAILPOINTS.reach("orchestrator.after_commit")
        async with self._database.connection() as connection:
            found = await self._records.triggers(connection, [request.trigger_id])
            trigger = found.get(request.trigger_id)
            if not isinstance(trigger, RunningTrigger) or trigger.plan.workspace_id != request.workspace_id:
                event = "request.kept_for_later" if changed else "request.not_for_this"
                _log.warning(event, trigger_id=str(request.trigger_id), action=request.action)
                return
            executions = (await executions_of(connection, [request.trigger_id])).get(request.trigger_id, {})
        if not changed:
            _log.info("request.too_late", trigger_id=str(request.trigger_id), action=request.action)
        # Workers hear of it before anybody else does, so that nothing is sent that is already shown as cancelled.
        await tell_workers(self._database, self._records, self._publisher, [request.trigger_id])
        await self._publisher.publish(said_of(trigger, list(executions.values())))
        FAILPOINTS.reach("orchestrator.after_publish")
        self._wake.signal(*EVERYONE)

    async def retry(self, request: RetryRequested) -> None:
        """Let failed jobs of one page come again; each comes once in an epoch.

        Those of a trigger that was cancelled meanwhile come as well, to be reported as cancelled by their worker:
        whoever asked counts them as open.
        """
        seqs = sorted({seq for seq in request.seqs if page_of(seq) == request.page})
        opened = bool(seqs) and await self._database.in_transaction(
            lambda connection: self._open_retry(connection, request, seqs)
        )
        _log.info(
            "retry.opened" if opened else "retry.ignored",
            execution_id=str(request.execution_id),
            page=request.page,
            epoch=request.epoch,
        )
        FAILPOINTS.reach("orchestrator.after_commit")
        self._wake.signal(*EVERYONE)

    async def repeat(self, request: RepeatRequested) -> None:
        """Say again what is known of a trigger, and send commands again that nobody has answered.

        Whoever has carried one out answers from the ledger.
        """
        async with self._database.transaction() as connection:
            found = await self._records.triggers(connection, [request.trigger_id])
            trigger = found.get(request.trigger_id)
            if not isinstance(trigger, RunningTrigger) or trigger.plan.workspace_id != request.workspace_id:
                _log.warning("request.not_for_this", trigger_id=str(request.trigger_id), action="repeat")
                return
            executions = (await executions_of(connection, [request.trigger_id])).get(request.trigger_id, {})
            commands = await requests.repeat(connection, request.trigger_id, request.opened_before, self._clock.now())
        _log.info("commands.repeat_requested", trigger_id=str(request.trigger_id), commands=commands)
        FAILPOINTS.reach("orchestrator.after_commit")
        await self._publisher.publish(said_of(trigger, list(executions.values())))
        await tell_waits(self._database, self._publisher, trigger.plan)
        FAILPOINTS.reach("orchestrator.after_publish")
        self._wake.signal(*EVERYONE)

    async def _change(self, connection: Connection, request: TriggerActionRequested) -> bool:
        mode = _MODES[request.action]
        planned = await requests.note_request(
            connection, request.trigger_id, request.workspace_id, mode, request.requested_at
        )
        if not planned:
            return planned is not None
        now = self._clock.now()
        match mode:
            case Mode.CANCELLED:
                await requests.stop(connection, request.trigger_id, now)
            case Mode.PAUSED:
                await requests.rest(connection, request.trigger_id)
            case _:
                await requests.go_on(connection, request.trigger_id, now)
        return True

    async def _open_retry(self, connection: Connection, request: RetryRequested, seqs: list[int]) -> bool:
        trigger_id: UUID = request.trigger_id
        trigger = (await self._records.triggers(connection, [trigger_id])).get(trigger_id)
        if not isinstance(trigger, RunningTrigger) or trigger.plan.workspace_id != request.workspace_id:
            return False
        plan = execution_of(trigger.plan, request.execution_id)
        started = (await executions_of(connection, [trigger_id])).get(trigger_id, {})
        mode = (await modes_held_still(connection, [trigger_id]))[trigger_id]
        if plan is None or request.execution_id not in started:
            return False
        positions = (await cohort_pages(connection, [(trigger_id, request.page)])).get((trigger_id, request.page), [])
        seqs = [seq for seq in seqs if seq - request.page * PAGE_SIZE < len(positions)]
        seqs = await note_retries(connection, request.execution_id, seqs, request.epoch)
        if not seqs:
            return False
        page = (request.execution_id, request.page)
        numbers = await allot_rounds(connection, {page: 1})
        now = self._clock.now()
        await open_commands(
            connection,
            [
                WaitingCommand(
                    trigger_id=trigger_id,
                    step_order=plan.step_order,
                    execution_id=request.execution_id,
                    page=request.page,
                    round=numbers[page],
                    epoch=request.epoch,
                    seqs=seqs,
                    attempts=[0] * len(seqs),
                    credit=False,
                    opened_at=now,
                    due_at=None if mode is Mode.PAUSED else now,
                )
            ],
        )
        return True
