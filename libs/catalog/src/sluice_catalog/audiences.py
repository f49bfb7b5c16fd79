"""Audiences, walked in the order of contact ids: one page is one index range, and memory is flat at any size.

A segment's filter is CEL and decides alone: contacts are read in batches and those it matches make up the page, so that
a page is short only at the end of the audience. A filter that cannot be decided for a contact does not match it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

import structlog

from sluice_catalog import rows
from sluice_catalog.conditions import CONTACT_ONLY, Condition, ConditionError, ConditionProblem, compile_condition
from sluice_catalog.models import Contact
from sluice_contracts.messages.trigger import (
    AllRecipients,
    ListRecipients,
    SegmentRecipients,
    TagRecipients,
    UnionRecipients,
)
from sluice_storage import statements
from sluice_storage.database import Database

AudienceRecipients = TagRecipients | SegmentRecipients | ListRecipients | AllRecipients | UnionRecipients

_BEFORE_ALL: Final = UUID(int=0)
_BATCH: Final = 1000
_log = structlog.get_logger()
_reads = statements.load("sluice_catalog", "reads.sql")


async def page(
    database: Database, workspace_id: UUID, recipients: AudienceRecipients, after: UUID | None, limit: int
) -> list[Contact]:
    """Return the next `limit` active contacts of an audience behind `after`, by id; fewer only at its end."""
    if isinstance(recipients, SegmentRecipients):
        return await _segment_page(database, workspace_id, recipients.segment_id, after, limit)
    async with database.connection() as connection:
        return await _plain_page(connection, workspace_id, recipients, after or _BEFORE_ALL, limit)


async def count(database: Database, workspace_id: UUID, recipients: AudienceRecipients) -> int:
    """Return how many active contacts an audience has now. A segment is walked whole."""
    if isinstance(recipients, SegmentRecipients):
        condition = await _segment_condition(database, workspace_id, recipients.segment_id)
        total = 0
        if condition is not None:
            async for batch in _batches(database, workspace_id, None):
                total += len(_matching(condition, workspace_id, batch))
        return total
    async with database.connection() as connection:
        match recipients:
            case TagRecipients(tags=[]):
                return 0
            case TagRecipients(tags=[tag]):
                return int(await connection.fetchval(_reads.count_of_tag, workspace_id, tag))
            case TagRecipients():
                tag = await connection.fetchval(_reads.rarest_tag, workspace_id, recipients.tags)
                return int(await connection.fetchval(_reads.count_of_tags, workspace_id, tag, recipients.tags))
            case ListRecipients():
                return int(await connection.fetchval(_reads.count_of_list, workspace_id, recipients.list_id))
            case UnionRecipients(external_ids=names, list_ids=lists):
                return int(await connection.fetchval(_reads.count_of_union, workspace_id, names, lists))
            case _:
                return int(await connection.fetchval(_reads.count_of_all, workspace_id))


async def _plain_page(
    connection: Any,
    workspace_id: UUID,
    recipients: TagRecipients | ListRecipients | AllRecipients | UnionRecipients,
    after: UUID,
    limit: int,
) -> list[Contact]:
    match recipients:
        case TagRecipients(tags=[]):
            return []
        case TagRecipients():
            tags = recipients.tags
            tag = tags[0] if len(tags) == 1 else await connection.fetchval(_reads.rarest_tag, workspace_id, tags)
            found = await connection.fetch(_reads.page_of_tags, workspace_id, after, limit, tag, tags)
        case ListRecipients():
            found = await connection.fetch(_reads.page_of_list, workspace_id, after, limit, recipients.list_id)
        case UnionRecipients(external_ids=names, list_ids=lists):
            found = await connection.fetch(_reads.page_of_union, workspace_id, after, limit, names, lists)
        case _:
            found = await connection.fetch(_reads.page_of_all, workspace_id, after, limit)
    return [rows.contact(row) for row in found]


async def _segment_page(
    database: Database, workspace_id: UUID, segment_id: UUID, after: UUID | None, limit: int
) -> list[Contact]:
    condition = await _segment_condition(database, workspace_id, segment_id)
    if condition is None:
        return []
    found: list[Contact] = []
    async for batch in _batches(database, workspace_id, after):
        found += _matching(condition, workspace_id, batch)
        if len(found) >= limit:
            break
    return found[:limit]


async def _segment_condition(database: Database, workspace_id: UUID, segment_id: UUID) -> Condition | None:
    async with database.connection() as connection:
        source = await connection.fetchval(_reads.segment_filter, workspace_id, segment_id)
    if source is None:
        return None
    try:
        return compile_condition(source, CONTACT_ONLY)
    except ConditionProblem as problem:
        _log.error("segment.filter_unusable", segment_id=str(segment_id), reason=str(problem))
        return None


async def _batches(database: Database, workspace_id: UUID, after: UUID | None) -> AsyncIterator[list[Contact]]:
    position = after or _BEFORE_ALL
    while True:
        async with database.connection() as connection:
            batch = await _plain_page(connection, workspace_id, AllRecipients(), position, _BATCH)
        if batch:
            yield batch
        if len(batch) < _BATCH:
            return
        position = batch[-1].id


def _matching(condition: Condition, workspace_id: UUID, batch: list[Contact]) -> list[Contact]:
    matching: list[Contact] = []
    undecided: list[str] = []
    for contact in batch:
        decision = condition.evaluate(contact=contact.values())
        if isinstance(decision, ConditionError):
            undecided.append(decision.reason)
        elif decision:
            matching.append(contact)
    if undecided:
        _log.info(
            "segment.contacts_undecided", workspace_id=str(workspace_id), count=len(undecided), reason=undecided[0]
        )
    return matching
