"""Stages that have not been fed to their end: leased for one turn, fenced by the lease, gone when they are over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orchestrator.adapters.statements import queries
from orchestrator.domain.running import Stage
from sluice_contracts.vocabulary import Lane
from sluice_storage.database import Connection

StageKey = tuple[UUID, int]
"""(trigger, step order)."""


@dataclass(frozen=True, slots=True)
class NewStage:
    """A stage to come. `rests`: its trigger is paused."""

    trigger_id: UUID
    step_order: int
    workspace_id: UUID
    lane: Lane
    walks: bool
    scheduled_for: datetime
    rests: bool


@dataclass(frozen=True, slots=True)
class StageAdvance:
    """How far a stage has come by one turn."""

    key: StageKey
    next_page: int
    cursor: UUID | None
    credits: int
    ended: bool


async def add_stages(connection: Connection, stages: Sequence[NewStage]) -> None:
    """Record stages; each is taken up once it is due."""
    await connection.executemany(
        queries.add_stage,
        [
            (
                stage.trigger_id,
                stage.step_order,
                stage.workspace_id,
                stage.lane,
                stage.walks,
                stage.scheduled_for,
                None if stage.rests else stage.scheduled_for,
            )
            for stage in stages
        ],
    )


async def lease_stages(
    connection: Connection,
    now: datetime,
    lane: Lane,
    *,
    walks: bool,
    fed_below: int,
    limit: int,
    owner: UUID,
    until: datetime,
) -> list[Stage]:
    """Lease up to `limit` due stages that have fewer than `fed_below` commands under way, for one turn.

    `owner` is new for each lease, so that it can serve as the fence.
    """
    rows = await connection.fetch(queries.lease_stages, now, lane, walks, fed_below, limit, owner, until)
    return [Stage(**dict(row)) for row in rows]


async def hold_leases(connection: Connection, keys: Collection[StageKey], owner: UUID) -> set[StageKey]:
    """Lock and return those stages whose lease is still `owner`'s."""
    rows = await connection.fetch(queries.hold_leases, *_keys(list(keys)), owner)
    return {(row["trigger_id"], row["step_order"]) for row in rows}


async def advance_stages(connection: Connection, advances: Sequence[StageAdvance]) -> None:
    """Write how far stages have come; their leases must be held in this transaction."""
    await connection.executemany(
        queries.advance_stage,
        [(*advance.key, advance.next_page, advance.cursor, advance.credits, advance.ended) for advance in advances],
    )


async def release_stages(
    connection: Connection, owner: UUID, rests: Mapping[StageKey, datetime | None], ended: Collection[StageKey]
) -> None:
    """Give leases back after everything was published: `rests` go on (not before the given time), `ended` go."""
    if rests:
        await connection.executemany(
            queries.release_stage, [(*key, owner, rest_until) for key, rest_until in rests.items()]
        )
    if ended:
        await connection.executemany(queries.close_stage, [(*key, owner) for key in ended])


async def abandon_stages(connection: Connection, owner: UUID, keys: Collection[StageKey], rest_until: datetime) -> None:
    """Give leases back after something went wrong: what was written is published again from `rest_until` on."""
    await connection.executemany(queries.abandon_stage, [(*key, owner, rest_until) for key in keys])


async def give_credit_back(
    connection: Connection, credits_by_stage: Mapping[StageKey, int], fed_below: int
) -> set[tuple[Lane, bool]]:
    """Let stages have that many more commands under way; return (lane, walks) of those that can be fed again."""
    keys = sorted(credits_by_stage)
    rows = await connection.fetch(
        queries.give_credit_back, *_keys(keys), [credits_by_stage[key] for key in keys], fed_below
    )
    return {(Lane(row["lane"]), row["walks"]) for row in rows}


def _keys(keys: Sequence[StageKey]) -> tuple[list[UUID], list[int]]:
    return [key[0] for key in keys], [key[1] for key in keys]
