"""From the command line to a command."""

from __future__ import annotations

import sys
from argparse import Namespace

import aiohttp
from rich.console import Console

from sluice_local.console import sending
from sluice_local.console.client import Client, RefusedError
from sluice_local.console.demo import Demo
from sluice_local.console.watching import summarise, watch
from sluice_local.data import DataDirectory
from sluice_local.processes import StartError


async def run(arguments: Namespace) -> int:
    """Carry out `send`, `trigger`, `watch` or `demo`; return the exit code. Raises StartError if no stack answers."""
    data = DataDirectory(arguments.data)
    credentials = data.credentials()
    if credentials is None:
        raise StartError(f"there is no stack over {data.path}; start one with `make up`, or name another with --data")
    console = Console()
    try:
        async with Client(credentials) as client:
            await _run(arguments, client, data, console)
    except RefusedError as error:
        print(f"sluice: {error}", file=sys.stderr)
        return 1
    except aiohttp.ClientConnectionError as error:
        raise StartError(f"nothing answers at {credentials.base_url}; is the stack running?") from error
    return 0


async def _run(arguments: Namespace, client: Client, data: DataDirectory, console: Console) -> None:
    if arguments.command == "demo":
        await Demo(client, data, console).run()
        return
    if arguments.command == "watch":
        summarise(console, await watch(client, arguments.trigger_id, console))
        return
    accept = sending.send if arguments.command == "send" else sending.trigger
    trigger_id = await accept(client, arguments)
    console.print(trigger_id, highlight=False)
    if arguments.watch:
        summarise(console, await watch(client, trigger_id, console))
