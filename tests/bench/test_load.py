"""The load itself, against servers of a few lines: it counts what it got, and nothing that it did not get."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bench.bare import answer
from bench.load import put_load, request
from bench.meter import Meter
from bench.raw_smtp import raw_rate
from bench.sinks import CountingSink


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("body", "status"), [(b"x" * 100_000, 200), (b"", 304)], ids=["a large body", "no body"])
async def test_every_answer_is_counted_once(body: bytes, status: int) -> None:
    async with served(answer(body)) as port:
        answers = await put_load([port], 3, 0.2, lambda: request("GET", "/"))
    answers.require(status)
    assert answers.statuses[status] == len(answers.latencies) >= 3
    assert answers.rate == pytest.approx(len(answers.latencies) / answers.seconds)
    assert 0 < answers.p99_ms < 2000


async def test_another_status_than_expected_makes_the_figure_worthless() -> None:
    async with served(answer(b"{}")) as port:
        answers = await put_load([port], 1, 0.05, lambda: request("GET", "/nowhere"))
    with pytest.raises(RuntimeError, match="404"):
        answers.require(200)


async def test_a_server_that_hangs_up_ends_the_load_with_an_error() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        with pytest.raises(ConnectionError):
            await put_load([server.sockets[0].getsockname()[1]], 1, 5, lambda: request("GET", "/"))


async def test_the_sink_counts_every_mail_of_the_pipelining_client() -> None:
    body = b"Subject: x\r\n\r\n" + b"x" * 500 + b"\r\n.\r\n"
    async with CountingSink() as sink:
        assert await raw_rate(sink.port, body, 500, 3) > 0
    assert len(sink.received) == 500
    assert set(sink.received.values()) == {1}
    assert sink.largest_body == len(body)


async def test_the_sink_does_not_count_a_mail_whose_end_never_came() -> None:
    async with CountingSink() as sink:
        reader, writer = await asyncio.open_connection("127.0.0.1", sink.port)
        await reader.readline()
        writer.write(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: x\r\n")
        for _ in range(3):
            await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert not sink.received


def test_a_meter_tells_what_a_process_has_cost() -> None:
    with Meter({"ingest": [os.getpid()]}) as meter:
        sum(range(10_000_000))
    assert meter.costs["ingest"].cpu_seconds > 0
    assert meter.peak_rss_mb > 10
    assert meter.detail(1_000)["ingest"]["cpu_us_each"] > 0
