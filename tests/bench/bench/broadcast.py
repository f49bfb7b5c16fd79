"""broadcast: one send to a whole audience through the sandbox, from the request to the last row that is final.

The audience is sent to in growing sizes: what one contact costs should not depend on how many there are. Gates,
ledger, pacing, metrics and tracing are on. A row is final when its job is (`sent` here); `broadcast with receipts` goes
on until the sandbox has played every receipt back through the callback door and the last of them is folded as well.
The limit is the durable work alone, see `floor`.
"""

from __future__ import annotations

from dataclasses import replace

from bench.audience import make_audience
from bench.campaigns import make_template, run_campaign
from bench.figures import Figure
from bench.floor import floor_rate
from bench.rig import Rig

TEMPLATE = "bench_sale"
LIMIT_NAME = "the durable work alone, one process"
SMALLER = (1_000, 20_000)


async def measure(rig: Rig) -> list[Figure]:
    """Return a figure for each size, and one that waits for the receipts."""
    async with rig.api("ingest") as api:
        await make_template(api, "sms", TEMPLATE, text="Hi {{ first_name }}: {{ what }}")
    most = rig.sizes.contacts
    await run_campaign(rig, "sms", await make_audience(rig, 1_000), TEMPLATE, 1_000, receipts=True)
    figures = []
    for size in [*(size for size in SMALLER if size < most), most]:
        tag = await make_audience(rig, size)
        before = await _stored(rig)
        with rig.meter() as meter:
            course = await run_campaign(rig, "sms", tag, TEMPLATE, size, receipts=True)
        grown = {name: round(after / size - before[name] / size) for name, after in (await _stored(rig)).items()}
        detail = {
            "contacts": size, "final_seconds": course.final_seconds, "bytes_each": grown, **meter.detail(size)
        }  # fmt: skip
        rate = size / course.final_seconds
        figures.append(
            Figure(f"broadcast of {size:,}", rate, "contacts/s", peak_rss_mb=meter.peak_rss_mb, detail=detail)
        )
    limit = await floor_rate(rig, tag, most)
    rate = most / course.received_seconds
    received = Figure("broadcast with receipts", rate, "contacts/s", limit, LIMIT_NAME, peak_rss_mb=meter.peak_rss_mb)
    figures[-1] = replace(figures[-1], name="broadcast", limit=limit, limit_name=LIMIT_NAME)
    return [*figures, received]


async def _stored(rig: Rig) -> dict[str, int]:
    """Return the bytes that PostgreSQL has written to its log so far, and those of the tables that grow with jobs."""
    async with rig.database() as database:
        row = await database.fetchrow(
            "SELECT (pg_current_wal_lsn() - '0/0')::bigint AS log, pg_total_relation_size('status.jobs') AS jobs,"
            " pg_total_relation_size('channel_sms.waves') AS waves"
        )
    assert row is not None
    return dict(row)
