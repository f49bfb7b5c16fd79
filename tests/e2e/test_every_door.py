"""What `make demo` shows last, on the real stack: one event through each door, and the message that came of each."""

from __future__ import annotations

from io import StringIO
from uuid import uuid4

import pytest
from rich.console import Console

from sluice_local.console.client import Client
from sluice_local.console.doors import DoorsShow
from sluice_local.data import Credentials
from sluice_local.stack import Stack

pytestmark = pytest.mark.e2e


async def test_an_event_through_each_door_becomes_a_message(stack: Stack) -> None:
    key = stack.create_workspace(f"doors-{uuid4().hex[:8]}")
    for _ in range(2):
        shown = StringIO()
        async with Client(Credentials(stack.base_url, key)) as client:
            await DoorsShow(client, Console(file=shown, width=500)).run()
        lines = shown.getvalue().splitlines()
        messages = [line.split(maxsplit=2)[2] for line in lines if "✉" in line]
        orders = {message.split("order ")[1].split()[0] for message in messages}
        doors = [message.partition(":")[0] for message in messages]
        assert doors == ["streams", "commpeak", "events", "novu", "pocketflows"], shown.getvalue()
        assert len(orders) == 1
