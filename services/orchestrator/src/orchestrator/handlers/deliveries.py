"""Takes workers' answers: closes commands, gives credit back, lets what was held come again."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from orchestrator.adapters.commands import (
    AnsweredCommand,
    CommandKey,
    WaitingCommand,
    allot_rounds,
    answer_commands,
    modes_held_still,
    open_commands,
)
from orchestrator.adapters.outcomes import fold_outcomes, triggers_with_outcomes
from orchestrator.adapters.stages import StageKey, give_credit_back
from orchestrator.domain.answers import JobFact, Report, UnreadableReportError
from orchestrator.domain.pace import Pace
from orchestrator.domain.rounds import NextRound, next_rounds
from orchestrator.domain.running import Mode
from orchestrator.handlers.wake import TIMERS, Feeding, Loop, Wake
from sluice_contracts.messages.delivery import JobsReported
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record
from sluice_runtime.clock import Clock
from sluice_runtime.failpoints import FAILPOINTS
from sluice_storage.database import Connection, Database

_REMEMBERED: Final = 20_000


class DeliveryHandler:
    """The same report twice changes nothing: the second time there is no open command for it to answer."""

    def __init__(self, database: Database, clock: Clock, pace: Pace, wake: Wake) -> None:
        self._database = database
        self._clock = clock
        self._pace = pace
        self._wake = wake
        self._asks: OrderedDict[UUID, bool] = OrderedDict()

    async def __call__(self, records: Sequence[Record]) -> None:
        """Handle one batch of the topic `deliveries`. Raises PoisonError for a record that is no report."""
        reports = [_read(record) for record in records if record.message_type in {JobsReported.TYPE, None}]
        answers = {
            (report.execution_id, report.page, report.answers_round): report
            for report in reports
            if report.answers_round is not None
        }
        facts = await self._facts(reports)
        if answers or facts:
            loops = await self._database.in_transaction(lambda connection: self._take(connection, answers, facts))
            FAILPOINTS.reach("orchestrator.after_commit")
            self._wake.signal(*loops)
        FAILPOINTS.reach("orchestrator.before_offset")

    async def _take(
        self,
        connection: Connection,
        answers: Mapping[CommandKey, Report],
        facts: Mapping[tuple[UUID, int], Sequence[JobFact]],
    ) -> set[Loop]:
        """Write what a batch changes; return the loops that it made work for."""
        loops: set[Loop] = set()
        if answers:
            held = {key: report.held for key, report in answers.items()}
            waiting = {report.trigger_id for key, report in answers.items() if held[key]}
            # Modes before commands before stages: the order in which every transaction locks them.
            modes = await modes_held_still(connection, waiting) if waiting else {}
            answered = await answer_commands(connection, list(answers))
            now = self._clock.now()
            rounds = [
                (
                    command,
                    next_rounds(
                        held[command.execution_id, command.page, command.round],
                        modes.get(command.trigger_id, Mode.RUNNING),
                        now,
                        credit=command.credit,
                    ),
                )
                for command in answered
            ]
            await self._hold(connection, rounds, now)
            returned = _returned_credit(rounds)
            if returned:
                fed = await give_credit_back(connection, returned, self._pace.fed_below)
                loops.update(Feeding(lane, walks) for lane, walks in fed)
            if any(following for _, following in rounds):
                loops.add(TIMERS)
        if facts:
            await fold_outcomes(connection, facts)
        return loops

    async def _hold(
        self, connection: Connection, rounds: Sequence[tuple[AnsweredCommand, Sequence[NextRound]]], now: datetime
    ) -> None:
        wanted: Counter[tuple[UUID, int]] = Counter()
        for command, following in rounds:
            if following:
                wanted[command.execution_id, command.page] += len(following)
        if not wanted:
            return
        numbers = await allot_rounds(connection, wanted)
        waiting = []
        for command, following in rounds:
            page = (command.execution_id, command.page)
            for item in following:
                waiting.append(
                    WaitingCommand(
                        trigger_id=command.trigger_id,
                        step_order=command.step_order,
                        execution_id=command.execution_id,
                        page=command.page,
                        round=numbers[page],
                        epoch=command.epoch,
                        seqs=item.seqs,
                        attempts=item.attempts,
                        credit=item.credit,
                        opened_at=now,
                        due_at=item.due_at,
                    )
                )
                numbers[page] += 1
        await open_commands(connection, waiting)

    async def _facts(self, reports: Sequence[Report]) -> dict[tuple[UUID, int], list[JobFact]]:
        """Return what is reported for triggers whose conditions ask for it, by page."""
        unknown = {report.trigger_id for report in reports} - self._asks.keys()
        if unknown:
            async with self._database.connection() as connection:
                self._asks |= await triggers_with_outcomes(connection, unknown)
        facts: defaultdict[tuple[UUID, int], list[JobFact]] = defaultdict(list)
        for report in reports:
            if self._asks.get(report.trigger_id):
                facts[report.execution_id, report.page] += report.facts
        while len(self._asks) > _REMEMBERED:
            self._asks.popitem(last=False)
        return facts


def _read(record: Record) -> Report:
    try:
        return Report(record.value)
    except UnreadableReportError as error:
        raise PoisonError(f"not a {JobsReported.TYPE}: {error}") from error


def _returned_credit(rounds: Sequence[tuple[AnsweredCommand, Sequence[NextRound]]]) -> dict[StageKey, int]:
    returned: Counter[StageKey] = Counter()
    for command, following in rounds:
        if command.credit and not any(item.credit for item in following):
            returned[command.trigger_id, command.step_order] += 1
    return dict(returned)
