"""The peers that are measured beside us, as small as each can be: `python -m bench.bare produce --kafka … --port …`.

`produce` is a handler of aiohttp and pydantic that does nothing but await the same produce as ours; `bytes` one that
answers the same bytes every time; `traces` takes what services send to a collector and forgets it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
from typing import Any
from uuid import UUID

import uvloop
from aiohttp import web
from pydantic import BaseModel, ConfigDict

from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_messaging.kafka.publisher import KafkaPublisher
from sluice_messaging.records import OutboundRecord, headers_of

TOPIC = "bench.accepted"


class Send(BaseModel):
    """What the handler validates: the fields of the request that ours gets."""

    model_config = ConfigDict(extra="forbid")

    recipient_type: str
    contact_external_id: str
    template_key: str
    variables: dict[str, Any]


def produce(kafka: str, value: bytes) -> web.Application:
    """Validate, append `value` under a new key, answer."""
    publisher = KafkaPublisher(kafka, "bare")
    headers = headers_of(TriggerAccepted)

    async def send(request: web.Request) -> web.Response:
        Send.model_validate_json(await request.read())
        trigger_id = str(UUID(bytes=os.urandom(16), version=4))
        await publisher.publish([OutboundRecord(TOPIC, trigger_id.encode(), value, headers)])
        return web.json_response({"success": True, "trigger_id": trigger_id})

    app = web.Application()
    app.router.add_post("/send", send)
    return app


def answer(body: bytes) -> web.Application:
    """Answer `body` to every GET, or 304 where it is empty."""

    async def get(_: web.Request) -> web.Response:
        headers = {"Content-Type": "application/json", "ETag": '"1"'}
        return web.Response(body=body, headers=headers) if body else web.Response(status=304, headers=headers)

    app = web.Application()
    app.router.add_get("/", get)
    return app


def traces() -> web.Application:
    """Take spans."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", take)
    return app


async def serve(app: web.Application, port: int) -> None:
    """Serve until the process is ended."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def main() -> None:
    """Run one of the peers."""
    parser = argparse.ArgumentParser(prog="bench.bare")
    parser.add_argument("peer", choices=["produce", "bytes", "traces"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kafka", default="")
    parser.add_argument("--content", type=base64.b64decode, default=b"", help="base64 of what is appended or answered")
    options = parser.parse_args()

    async def run() -> None:
        match options.peer:
            case "produce":
                app = produce(options.kafka, options.content)
            case "bytes":
                app = answer(options.content)
            case _:
                app = traces()
        await serve(app, options.port)

    uvloop.run(run())


if __name__ == "__main__":
    main()
