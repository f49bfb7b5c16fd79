"""Frequency caps and budgets: who may still get a message, decided and counted in the transaction that claims it.

Every message is counted once by its job, so that neither a repeat nor a retry counts again. A workspace without caps
and without a budget costs nothing here. A cap over all channels and the budget count the messages of all channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sluice_catalog.models import Budget, FrequencyCap, WorkspaceSettings
from sluice_contracts.vocabulary import Category, Channel
from sluice_storage import statements
from sluice_storage.database import Connection

_sql = statements.load("sluice_channel", "allowances.sql")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job that may be sent: `recipient` is the contact, or the address where there is none.

    With `counts` false it is only asked whether it would be capped: a later gate holds it back anyway.
    """

    seq: int
    recipient: str
    cost_micros: int
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Refusals:
    """Positions that may not be sent."""

    capped: frozenset[int] = frozenset()
    over_budget: frozenset[int] = frozenset()


def has_limits(settings: WorkspaceSettings, category: Category) -> bool:
    """Say whether anything has to be counted for a message of `category`."""
    return settings.budget is not None or (bool(settings.frequency_caps) and not category.is_essential)


class Allowances:
    """The counts of one channel's schema, and, where they are in the same database, of the other channels'."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def admit(
        self,
        connection: Connection,
        settings: WorkspaceSettings,
        category: Category,
        execution_id: UUID,
        candidates: Sequence[Candidate],
        now: datetime,
    ) -> Refusals:
        """Return who is refused, and count everybody else. To be called inside the claim's transaction."""
        everywhere = bool(await connection.fetchval(_sql.has_all_channels))
        caps = () if category.is_essential else settings.frequency_caps
        capped = await self._capped(connection, settings.workspace_id, caps, execution_id, candidates, now, everywhere)
        passing = [one for one in candidates if one.counts and one.seq not in capped]
        over_budget: frozenset[int] = frozenset()
        if settings.budget is not None and passing:
            over_budget = await self._over_budget(
                connection, settings.workspace_id, settings.budget, execution_id, passing, now, everywhere
            )
        counted = [one for one in passing if one.seq not in over_budget]
        today = now.astimezone(UTC).date()
        if counted:
            await connection.execute(
                _sql.count_messages, settings.workspace_id, execution_id, [one.seq for one in counted],
                [one.recipient for one in counted], [one.cost_micros for one in counted], today, now,
            )  # fmt: skip
        return Refusals(capped, over_budget)

    async def _capped(
        self,
        connection: Connection,
        workspace_id: UUID,
        caps: Sequence[FrequencyCap],
        execution_id: UUID,
        candidates: Sequence[Candidate],
        now: datetime,
        everywhere: bool,
    ) -> frozenset[int]:
        caps = [cap for cap in caps if cap.channel in (None, self._channel)]
        if not caps or not candidates:
            return frozenset()
        recipients = [one.recipient for one in candidates]
        await connection.fetch(_sql.lock_recipients, workspace_id, recipients)
        capped: set[int] = set()
        for cap in caps:
            statement = _sql.counted_everywhere if cap.channel is None and everywhere else _sql.counted_here
            rows = await connection.fetch(
                statement, workspace_id, recipients, now - timedelta(hours=cap.hours), execution_id,
                [one.seq for one in candidates],
            )  # fmt: skip
            messages = Counter({row["recipient"]: row["messages"] for row in rows})
            for one in candidates:
                if messages[one.recipient] >= cap.limit:
                    capped.add(one.seq)
                elif one.counts and one.seq not in capped:
                    messages[one.recipient] += 1
        return frozenset(capped)

    async def _over_budget(
        self,
        connection: Connection,
        workspace_id: UUID,
        budget: Budget,
        execution_id: UUID,
        candidates: Sequence[Candidate],
        now: datetime,
        everywhere: bool,
    ) -> frozenset[int]:
        await connection.fetchval(_sql.lock_budget, workspace_id)
        today = now.astimezone(UTC).date()
        statement = _sql.spent_everywhere if everywhere else _sql.spent_here
        spent = await connection.fetchval(statement, workspace_id, _first_day(budget, today), today)
        rows = await connection.fetch(_sql.already_counted, execution_id, [one.seq for one in candidates])
        counted = {row["seq"] for row in rows}
        refused: set[int] = set()
        for one in candidates:
            if one.seq in counted:
                continue
            if spent + one.cost_micros > budget.amount_micros:
                refused.add(one.seq)
            else:
                spent += one.cost_micros
        return frozenset(refused)


def _first_day(budget: Budget, today: date) -> date:
    return today.replace(day=1) if budget.period == "month" else today
