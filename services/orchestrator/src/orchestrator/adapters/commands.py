"""Commands that nobody has answered yet: the row goes when the answer comes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from orchestrator.adapters.statements import queries
from orchestrator.domain.running import Command, Mode
from sluice_storage.database import Connection

CommandKey = tuple[UUID, int, int]
"""(execution, page, round)."""


@dataclass(frozen=True, slots=True)
class WaitingCommand:
    """A command to be published at `due_at`, or (None) when somebody resumes the trigger."""

    trigger_id: UUID
    step_order: int
    execution_id: UUID
    page: int
    round: int
    epoch: int
    seqs: Sequence[int]
    attempts: Sequence[int]
    credit: bool
    opened_at: datetime
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class AnsweredCommand:
    """A command that has just been answered for the first time."""

    trigger_id: UUID
    step_order: int
    execution_id: UUID
    page: int
    round: int
    epoch: int
    credit: bool


async def open_commands(connection: Connection, commands: Sequence[Command | WaitingCommand]) -> None:
    """Record commands, those that wait and those that are published as soon as this is committed."""
    await connection.executemany(
        queries.open_command,
        [
            (
                command.execution_id,
                command.page,
                command.round,
                command.epoch,
                command.trigger_id,
                command.step_order,
                list(command.seqs),
                list(command.attempts),
                command.credit,
                command.sends if isinstance(command, Command) else 0,
                command.opened_at,
                command.due_at,
            )
            for command in commands
        ],
    )


async def commands_without_stage(connection: Connection, execution_ids: Collection[UUID]) -> list[Command]:
    """Return the open first rounds of executions that were commanded when their trigger was taken up."""
    return [_command(row) for row in await connection.fetch(queries.commands_without_stage, list(execution_ids))]


async def unpublished_pages(
    connection: Connection, execution_ids: Collection[UUID], first_page: int, end_page: int
) -> list[Command]:
    """Return the open first rounds of pages from `first_page` to before `end_page`."""
    rows = await connection.fetch(queries.unpublished_pages, list(execution_ids), first_page, end_page)
    return [_command(row) for row in rows]


async def due_commands(connection: Connection, now: datetime, limit: int) -> list[Command]:
    """Lock and return commands that are due, in order, leaving out those that another copy has in hand."""
    return [_command(row) for row in await connection.fetch(queries.due_commands, now, limit)]


async def next_due(connection: Connection) -> datetime | None:
    """Return when the next command is due."""
    moment: datetime | None = await connection.fetchval(queries.next_command_due)
    return moment


async def commands_sent(connection: Connection, sent: Sequence[tuple[Command, datetime]]) -> None:
    """Note that commands have been published once more, and when each is due again."""
    await connection.execute(
        queries.commands_sent,
        *_keys([(command.execution_id, command.page, command.round) for command, _ in sent]),
        [command.sends + 1 for command, _ in sent],
        [due_at for _, due_at in sent],
    )


async def drop_commands(connection: Connection, keys: Sequence[CommandKey]) -> None:
    """Remove commands that can never be carried out."""
    await connection.execute(queries.drop_commands, *_keys(keys))


async def answer_commands(connection: Connection, keys: Sequence[CommandKey]) -> list[AnsweredCommand]:
    """Close commands; return those that were open, in the order of their keys."""
    rows = await connection.fetch(queries.answer_commands, *_keys(keys))
    answered = [
        AnsweredCommand(
            row["trigger_id"],
            row["step_order"],
            row["execution_id"],
            row["page"],
            row["round"],
            row["epoch"],
            row["credit"],
        )
        for row in rows
    ]
    return sorted(answered, key=lambda command: (command.execution_id, command.page, command.round))


async def allot_rounds(connection: Connection, wanted: dict[tuple[UUID, int], int]) -> dict[tuple[UUID, int], int]:
    """Take the next numbers of rounds for pages (execution, page: how many); return the first number of each."""
    keys = sorted(wanted)
    rows = await connection.fetch(
        queries.allot_rounds,
        [execution_id for execution_id, _ in keys],
        [page for _, page in keys],
        [wanted[key] for key in keys],
    )
    return {
        (row["execution_id"], row["page"]): row["last_round"] - wanted[row["execution_id"], row["page"]] + 1
        for row in rows
    }


async def note_retries(connection: Connection, execution_id: UUID, seqs: Sequence[int], epoch: int) -> list[int]:
    """Note that jobs are tried again in `epoch`; return those that have not been in this one or a later, in order."""
    rows = await connection.fetch(queries.note_retries, execution_id, list(seqs), epoch)
    return sorted(row["seq"] for row in rows)


async def modes_held_still(connection: Connection, trigger_ids: Collection[UUID]) -> dict[UUID, Mode]:
    """Return the modes of triggers, which nobody changes before the transaction ends."""
    rows = await connection.fetch(queries.modes_held_still, sorted(trigger_ids))
    return {row["trigger_id"]: Mode(row["mode"]) for row in rows}


def _keys(keys: Sequence[CommandKey]) -> tuple[list[UUID], list[int], list[int]]:
    return [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys]


def _command(row: asyncpg.Record) -> Command:
    return Command(
        trigger_id=row["trigger_id"],
        step_order=row["step_order"],
        execution_id=row["execution_id"],
        page=row["page"],
        round=row["round"],
        epoch=row["epoch"],
        seqs=tuple(row["seqs"]),
        attempts=tuple(row["attempts"]),
        credit=row["credit"],
        sends=row["sends"],
        opened_at=row["opened_at"],
        due_at=row["due_at"],
    )
