"""How jobs stand, for the conditions of later steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import asyncpg

from orchestrator.adapters.statements import queries
from orchestrator.domain.answers import JobFact
from orchestrator.domain.outcomes import PageOutcomes
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_storage.database import Connection

PageKey = tuple[UUID, int]
"""(execution, page)."""


async def outcome_pages(connection: Connection, pages: Collection[PageKey]) -> dict[PageKey, PageOutcomes]:
    """Return the outcomes of those pages of which anything is known."""
    if not pages:
        return {}
    return _by_page(await connection.fetch(queries.outcome_pages, *_keys(list(pages))))


async def fold_outcomes(connection: Connection, facts: Mapping[PageKey, Sequence[JobFact]]) -> None:
    """Take facts into the outcomes of their pages. Order and repetition do not matter."""
    pages = sorted(facts)
    nothing = [0] * PAGE_SIZE
    await connection.execute(queries.reserve_outcomes, *_keys(pages), nothing, nothing)
    known = _by_page(await connection.fetch(queries.lock_outcomes, *_keys(pages)))
    changed = [(page, outcomes) for page, outcomes in known.items() if outcomes.fold(facts[page])]
    await connection.executemany(
        queries.write_outcomes,
        [(*page, outcomes.standings, outcomes.messages, outcomes.engagements) for page, outcomes in changed],
    )


async def triggers_with_outcomes(connection: Connection, trigger_ids: Collection[UUID]) -> dict[UUID, bool]:
    """Return, for each trigger that is known, whether its conditions ask for outcomes."""
    rows = await connection.fetch(queries.triggers_with_outcomes, list(trigger_ids))
    return {row["trigger_id"]: row["asks_for_outcomes"] for row in rows}


def _keys(pages: Sequence[PageKey]) -> tuple[list[UUID], list[int]]:
    return [page[0] for page in pages], [page[1] for page in pages]


def _by_page(rows: Sequence[asyncpg.Record]) -> dict[PageKey, PageOutcomes]:
    return {
        (row["execution_id"], row["page"]): PageOutcomes(
            list(row["standings"]), list(row["messages"]), list(row["engagements"])
        )
        for row in rows
    }
