"""`sluice replay`: do again what was not done of a trigger, and nothing that was.

Commands that nobody answered are sent again (a worker answers those that it carried out from its ledger), reports that
were lost are made again, and jobs that failed are retried. What waits on purpose goes on waiting.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from sluice_contracts import topics
from sluice_contracts.messages.trigger import RepeatRequested
from sluice_contracts.vocabulary import Channel, Lane
from sluice_local.console.client import Client, RefusedError
from sluice_local.durations import describe
from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import CLIENT, Connection, Installation, said
from sluice_local.operating.quantities import counted
from sluice_local.operating.reporting_again import lost_reports
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.kafka.address import shown
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import outbound
from sluice_storage import statements

_NEVER = datetime.max.replace(tzinfo=UTC)
_sql = statements.load("sluice_local.operating", "replay.sql")


@dataclass(frozen=True, slots=True)
class Undone:
    """What a trigger has not finished: `executions` and `commands` are rows of `replay.sql`."""

    trigger: asyncpg.Record
    executions: Sequence[asyncpg.Record]
    commands: Sequence[asyncpg.Record]
    stages: int

    @property
    def failed(self) -> int:
        """How many jobs no provider took."""
        return sum(execution["failed"] for execution in self.executions)

    def unanswered(self, opened_before: datetime) -> list[asyncpg.Record]:
        """Return the commands that were sent, opened before `opened_before`, and not answered."""
        return [each for each in self.commands if each["sends"] and each["opened_at"] < opened_before]


@dataclass(slots=True)
class Account:
    """What was done, sentence by sentence, and what could not be."""

    done: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


async def replay(installation: Installation, arguments: Namespace) -> int:
    """Do again what was not done of a trigger and print it; return 1 if a part of that was refused."""
    trigger_id: UUID = arguments.trigger_id
    account = Account()
    async with installation.database("status") as connection:
        undone = await _undone(connection, trigger_id)
        _refuse_what_is_over(undone, trigger_id)
        try:
            async with KafkaMessaging(installation.kafka, CLIENT, installation.clock) as messaging:
                await _report_again(installation, connection, undone, messaging.publisher, account)
                await _repeat(installation, undone, trigger_id, arguments.older_than, messaging.publisher, account)
        except BrokerUnavailableError as error:
            brokers = shown(installation.kafka)
            raise OperatingError(f"the Kafka brokers {brokers} do not take requests: {error}") from error
    if undone.failed:
        await _retry(installation, trigger_id, undone, account)
    for sentence in account.done or ["nothing to do again"]:
        print(sentence)
    for sentence in _left_alone(installation, undone, arguments.older_than):
        print(sentence)
    for sentence in account.refused:
        print(f"sluice: {sentence}", file=sys.stderr)
    return 1 if account.refused else 0


async def _undone(connection: Connection, trigger_id: UUID) -> Undone:
    trigger = await connection.fetchrow(_sql.trigger, trigger_id)
    if trigger is None:
        raise OperatingError(f"there is no trigger {trigger_id} in this installation")
    executions = await connection.fetch(_sql.executions, trigger_id)
    commands = await connection.fetch(_sql.open_commands, trigger_id)
    return Undone(trigger, executions, commands, await connection.fetchval(_sql.resting_stages, trigger_id))


def _refuse_what_is_over(undone: Undone, trigger_id: UUID) -> None:
    if undone.trigger["is_cancelled"]:
        raise OperatingError(f"trigger {trigger_id} was cancelled: nothing of it is done again")
    if undone.trigger["is_failed"]:
        detail = undone.trigger["failure_detail"] or "nobody says why yet"
        raise OperatingError(f"trigger {trigger_id} can never be carried out ({detail}): mend that and send it anew")


async def _report_again(
    installation: Installation, connection: Connection, undone: Undone, publisher: EventPublisher, account: Account
) -> None:
    for execution in undone.executions:
        if not execution["open"] or execution["started_at"] is None:
            continue
        open_rounds = {
            (each["page"], each["round"])
            for each in undone.commands
            if each["execution_id"] == execution["execution_id"]
        }
        channel, jobs = Channel(execution["channel"]), 0
        async with installation.database(f"channel_{channel}") as ledger:
            async for record, lost in lost_reports(
                connection, ledger, execution["execution_id"], channel, open_rounds, installation.clock.now()
            ):
                await publisher.publish([record])
                jobs += lost
        if jobs:
            account.done.append(
                f"{_name(execution)}: reported {counted(jobs, 'job')} again, which the ledger knows to be over"
            )


async def _repeat(
    installation: Installation,
    undone: Undone,
    trigger_id: UUID,
    older_than: timedelta,
    publisher: EventPublisher,
    account: Account,
) -> None:
    now = installation.clock.now()
    unanswered = undone.unanswered(now - older_than)
    if not unanswered:
        return
    request = RepeatRequested(
        trigger_id=trigger_id,
        workspace_id=undone.trigger["workspace_id"],
        requested_at=now,
        opened_before=now - older_than,
    )
    await publisher.publish([outbound(topics.triggers(Lane.PRIORITY), request)])
    for name, group in groupby(unanswered, key=_name):
        commands = list(group)
        jobs, oldest = sum(each["jobs"] for each in commands), min(each["opened_at"] for each in commands)
        account.done.append(
            f"{name}: asked for {counted(len(commands), 'command')} to be sent again with {counted(jobs, 'job')}, "
            f"unanswered for up to {describe(now - oldest)}"
        )


async def _retry(installation: Installation, trigger_id: UUID, undone: Undone, account: Account) -> None:
    failed = counted(undone.failed, "job")
    if installation.api is None:
        account.refused.append(f"{failed} failed: to have the API retry them, set SLUICE_PUBLIC_URL and SLUICE_API_KEY")
        return
    url = installation.api.base_url
    try:
        async with Client(installation.api) as client:
            answer: dict[str, Any] = await client.post(f"/triggers/{trigger_id}/retry", {})
    except RefusedError as error:
        owner = undone.trigger["workspace_id"]
        why = f"the key opens another workspace; set SLUICE_API_KEY to one of {owner}" if error.status == 404 else error
        account.refused.append(f"{failed} failed and the API does not retry them: {why}")
    except (aiohttp.ClientError, TimeoutError) as error:
        account.refused.append(f"{failed} failed and nothing answers at {url} to retry them: {said(error)}")
    else:
        account.done.append(f"retried {counted(answer['jobs'], 'job')} that had failed")


def _left_alone(installation: Installation, undone: Undone, older_than: timedelta) -> list[str]:
    now = installation.clock.now()
    fresh = [each for each in undone.commands if each["sends"] and each["opened_at"] >= now - older_than]
    waiting = [each for each in undone.commands if not each["sends"]]
    sentences = []
    if fresh:
        sentences.append(f"left alone: {counted(len(fresh), 'command')} under way for less than {describe(older_than)}")
    if undone.trigger["mode"] == "paused":
        sentences.append("left alone: what waits until the trigger, which is paused, is resumed")
    elif waiting:
        due = min(each["due_at"] or _NEVER for each in waiting)
        until = f", the first until {due:%Y-%m-%dT%H:%M:%SZ}" if due < _NEVER else ""
        sentences.append(
            f"left alone: {counted(sum(each['jobs'] for each in waiting), 'job')} that wait on purpose{until}"
        )
    if undone.stages:
        sentences.append(f"left alone: {counted(undone.stages, 'step')} whose jobs are still to be commanded")
    return sentences


def _name(row: asyncpg.Record) -> str:
    """Return what people know an execution by."""
    step = f"step {row['step_order']}, " if row["step_order"] else ""
    return f"{step}{row['channel'] or 'not shown yet'}"
