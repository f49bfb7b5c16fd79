"""A connection that ended a moment ago is a broken one, and nothing that nobody expects."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter

import aiokafka.conn
import pytest
import uvloop
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.kafka.connection import Connection
from sluice_messaging.testing import eventually


async def write_after_the_end(kind: type[Connection]) -> None:
    """Write to a connection that has ended and whose reader has not heard of it."""

    async def listen(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        connection = kind("127.0.0.1", server.sockets[0].getsockname()[1])
        connecting = asyncio.create_task(connection.connect())
        await eventually(lambda: connection._writer is not None)
        connection._read_task.cancel()
        connection._writer.transport.abort()
        await eventually(connection._closed_fut.done)
        try:
            await connection.send(ApiVersionRequest())
        finally:
            connection.close()
            await asyncio.gather(connecting, return_exceptions=True)


@pytest.mark.parametrize(("kind", "error"), [(Connection, KafkaConnectionError), (Connection.__base__, RuntimeError)])
def test_a_connection_that_ended_a_moment_ago_is_a_broken_one(kind: type[Connection], error: type[Exception]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(error):
        runner.run(write_after_the_end(kind))


def test_every_client_has_such_connections() -> None:
    assert KafkaMessaging
    assert aiokafka.conn.AIOKafkaConnection is Connection
