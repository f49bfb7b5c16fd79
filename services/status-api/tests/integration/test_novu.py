"""What Novu's door reads of the projection's tables: pages, what is hidden, and no table from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from sluice_contracts.novu import place_behind, place_id
from sluice_contracts.vocabulary import JobState
from sluice_storage.database import Database
from sluice_storage.statements import load
from status_api.domain.progress import pack
from status_api.doors.novu.store import Hidden, NovuStore

pytestmark = pytest.mark.integration

SQL = load("status_api", "novu.sql")
SENT, FILTERED = pack(0, JobState.SENT, 1), pack(0, JobState.FILTERED, 0)

FILL = """
INSERT INTO jobs (execution_id, seq, progress, message, engagements, external_id, address, timeline)
SELECT $1, n, CASE WHEN n % 3 = 0 THEN $2::integer ELSE $3::integer END, 1, 0, 'user_' || n, NULL, '{}'
FROM generate_series(0, $4::integer - 1) AS n
"""


async def fill(database: Database, execution_id: UUID, jobs: int) -> None:
    """Write jobs of which every third was sent and the others filtered."""
    async with database.connection() as connection:
        await connection.execute(FILL, execution_id, SENT, FILTERED, jobs)


async def test_messages_are_the_sent_jobs_of_executions_in_order_the_newest_first(database: Database) -> None:
    one, other = uuid4(), uuid4()
    store = NovuStore(database)
    await fill(database, one, 7)
    await fill(database, other, 4)

    whole = await store.messages([other, one], None, 0, 10)
    page = await store.messages([other, one], None, 1, 2)
    person = await store.messages([other, one], "user_3", 0, 10)

    assert [(job.execution_id, job.seq) for job in whole] == [(other, 3), (other, 0), (one, 6), (one, 3), (one, 0)]
    assert [(job.execution_id, job.seq) for job in page] == [(other, 0), (one, 6)]
    assert [(job.execution_id, job.seq) for job in person] == [(other, 3), (one, 3)]


async def test_a_hidden_message_is_listed_no_more_and_stays_counted(database: Database) -> None:
    one, other = uuid4(), uuid4()
    store = NovuStore(database)
    await fill(database, one, 7)
    await fill(database, other, 4)

    await store.hide([one], 3)
    await store.hide([one], 3)
    await store.hide([other])

    assert [job.seq for job in await store.messages([one, other], None, 0, 10)] == [6, 0]
    assert await store.hidden([one, other, uuid4()]) == {one: Hidden(1, whole=False), other: Hidden(0, whole=True)}
    assert await store.message_at(one, 3) is None
    assert await store.message_at(one, 6) is not None
    assert await store.message_at(one, 1) is None, "who was filtered got no message"
    assert len(await store.jobs_at([one], range(10))) == 7


async def test_positions_are_those_of_every_step_each_once(database: Database) -> None:
    one, other = uuid4(), uuid4()
    store = NovuStore(database)
    await fill(database, one, 3)
    await fill(database, other, 5)

    assert await store.positions([one, other], None, 0, 10) == [0, 1, 2, 3, 4]
    assert await store.positions([one, other], None, 2, 2) == [2, 3]
    assert await store.positions([one, other], ["user_4", "user_1", "nobody"], 0, 10) == [1, 4]


async def test_an_id_leads_back_to_its_execution_in_its_own_workspace_alone(database: Database) -> None:
    workspace, trigger_id, execution_id = uuid4(), uuid4(), uuid4()
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO triggers (trigger_id, workspace_id, accepted_at, metadata) VALUES ($1, $2, now(), $3)",
            trigger_id, workspace, json.dumps({"novu": {"transactionId": "tx-1"}}),
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO executions (execution_id, trigger_id, workspace_id, channel) VALUES ($1, $2, $3, 'sms')",
            execution_id, trigger_id, workspace,
        )  # fmt: skip
    store, place = NovuStore(database), place_behind(place_id(execution_id, 7))

    assert place is not None
    assert await store.execution_at(workspace, place) == (execution_id, trigger_id)
    assert await store.execution_at(uuid4(), place) is None
    assert await store.metadata(workspace, [trigger_id]) == {trigger_id: {"transactionId": "tx-1"}}
    assert await store.metadata(uuid4(), [trigger_id]) == {}


async def test_a_page_of_a_campaign_reads_no_more_than_the_page(database: Database) -> None:
    campaigns = [uuid4() for _ in range(3)]
    for execution_id in campaigns:
        await fill(database, execution_id, 20_000)
    statements = {
        "messages": (SQL.messages, (campaigns, 0, 11)),
        "messages_of_person": (SQL.messages_of_person, (campaigns, 0, 11, "user_300")),
        "positions": (SQL.positions, (campaigns, 0, 11)),
        "positions_of_people": (SQL.positions_of_people, (campaigns, 0, 11, ["user_300"])),
        "jobs_at": (SQL.jobs_at, (campaigns, [5, 6])),
    }
    async with database.connection() as connection:
        await connection.execute("ANALYZE jobs")
        for name, (statement, arguments) in statements.items():
            text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments)
            (explained,) = json.loads(text) if isinstance(text, str) else text
            read = sum(
                node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
                for node in nodes(explained["Plan"])
                if node.get("Relation Name") == "jobs"
            )
            assert read <= 300, (name, read)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of a plan."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)
