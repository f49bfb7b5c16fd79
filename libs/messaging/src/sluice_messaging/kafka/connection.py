"""A connection to a broker that is broken in aiokafka's words whatever the event loop's are.

Between the end of a connection and the moment at which its reader hears of it, uvloop answers a write with a
RuntimeError. aiokafka takes that for no broken connection but for its own mistake: a commit would fail as nothing that
is known to pass, and the task that fetches would end for good.
"""

from __future__ import annotations

from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """Raises KafkaConnectionError where the event loop does not want to write, and is closed then."""

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Send; see AIOKafkaConnection."""
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error


def make_default() -> None:
    """Let every client of aiokafka in this process have such connections: it knows no other way to choose them."""
    conn.AIOKafkaConnection = Connection
