"""Making, changing and ending streams, their tokens and their messages; reading them as lists is status-api's."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, create_model

from ingest.definitions.answers import (
    PageQuery,
    Pagination,
    entity_tag,
    expected_revision,
    page_response,
    plainly,
    validated,
)
from ingest.definitions.resource import Record, merge_plainly, record_of, renew
from ingest.doors.commpeak.sending import PATH as EVENT_SEND
from ingest.doors.streams.events import TAG
from ingest.doors.streams.samples import CONTACT, fields_of, nested, samples
from sluice_catalog.api_keys import DEFINITIONS_WRITE
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.definitions.stream_events import StreamEventDefinition, StreamEvents
from sluice_catalog.definitions.stream_view import NewStreamView, StreamView, TokenView, shown
from sluice_catalog.definitions.streams import TOKENS, StreamDefinition, Streams
from sluice_catalog.definitions.words import Definition
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_channel.segmentation import segment
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation
from sluice_storage.database import Database

STREAMS: Final = "/api/v1/streams"
STREAM: Final = f"{STREAMS}/{{stream_id}}"
EVENTS: Final = f"{STREAM}/event-templates"
EVENT: Final = f"{EVENTS}/{{reference}}"
_OVERLAP_SECONDS: Final = 86_400

StreamChange: type[BaseModel] = create_model(
    "StreamChange",
    __config__=ConfigDict(extra="forbid"),
    **dict.fromkeys(StreamDefinition.model_fields, (Any, None)),  # type: ignore[call-overload]
)
StreamEventChange: type[BaseModel] = create_model(
    "StreamEventChange",
    __config__=ConfigDict(extra="forbid"),
    **dict.fromkeys(StreamEventDefinition.model_fields, (Any, None)),  # type: ignore[call-overload]
)


class TokenReset(Definition):
    """For how long the tokens before work beside the new one; 0 ends them at once."""

    overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = _OVERLAP_SECONDS


class NewToken(BaseModel):
    """A stream's new token, which is shown this once, and all that work now."""

    token: str
    tokens: list[TokenView]


class StreamEventView(Record):
    """A message by its event key. Of a text of its own: what it takes as an SMS before its variables are filled in."""

    key: str
    name: str
    text: str | None
    template_key: str | None
    variables: list[str]
    segments: int | None
    encoding: str | None


class StreamEventPage(BaseModel):
    """Some messages of a stream."""

    data: list[StreamEventView]
    pagination: Pagination


class SampleView(BaseModel):
    """One request in one language."""

    language: str
    code: str


class RequestView(BaseModel):
    """A request to a stream: where to, with which body, and the same in several languages."""

    url: str
    body: dict[str, Any]
    samples: list[SampleView]


class SamplesView(BaseModel):
    """Ready-made requests. `fields` are the variables of what the stream sends; `event_send` takes messages in bulk."""

    fields: list[str]
    events: RequestView | None
    event_send: RequestView


class StreamDefinitions:
    """The operations on streams' definitions. `public_url` is where callers find the API."""

    def __init__(self, streams: Streams, events: StreamEvents, snapshot: CatalogSnapshot, public_url: str) -> None:
        self._streams = streams
        self._events = events
        self._snapshot = snapshot
        self._public_url = public_url.rstrip("/")

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        scope = DEFINITIONS_WRITE
        return [
            Operation(
                "POST", STREAMS, "create_stream", "Create a stream", TAG, plainly(self._create), scope,
                body=StreamDefinition, answers={201: NewStreamView},
            ),
            Operation(
                "PATCH", STREAM, "change_stream", "Change a stream", TAG, plainly(self._change), scope,
                body=StreamChange, answers={200: StreamView},
            ),
            Operation(
                "DELETE", STREAM, "delete_stream", "Delete a stream with its tokens", TAG, plainly(self._delete), scope,
                answers={204: None},
            ),
            Operation(
                "POST", f"{STREAM}/token", "reset_stream_token", "Give a stream a new token", TAG,
                plainly(self._reset_token), scope, body=TokenReset, answers={201: NewToken},
            ),
            Operation(
                "GET", f"{STREAM}/samples", "get_stream_samples", "Get ready-made requests to a stream", TAG,
                plainly(self._samples), scope, answers={200: SamplesView},
            ),
            Operation(
                "POST", EVENTS, "create_stream_event", "Create a stream's message for an event key", TAG,
                plainly(self._create_event), scope, body=StreamEventDefinition, answers={201: StreamEventView},
            ),
            Operation(
                "GET", EVENTS, "list_stream_events", "List a stream's messages", TAG, plainly(self._list_events), scope,
                query=PageQuery, answers={200: StreamEventPage},
            ),
            Operation(
                "GET", EVENT, "get_stream_event", "Get a stream's message", TAG, plainly(self._get_event), scope,
                answers={200: StreamEventView},
            ),
            Operation(
                "PATCH", EVENT, "change_stream_event", "Change a stream's message", TAG, plainly(self._change_event),
                scope, body=StreamEventChange, answers={200: StreamEventView},
            ),
            Operation(
                "DELETE", EVENT, "delete_stream_event", "Delete a stream's message", TAG, plainly(self._delete_event),
                scope, answers={204: None},
            ),
        ]  # fmt: skip

    async def _create(self, call: Call) -> web.Response:
        stored, secret = await self._streams.open(call.principal.workspace_id, call.body)
        await renew(self._snapshot, self._streams.table, TOKENS)
        return json_response({**shown(stored), "token": secret.secret}, 201, entity_tag(stored.revision))

    async def _change(self, call: Call) -> web.Response:
        given = orjson.loads(call.raw or b"{}")

        def change(content: StreamDefinition) -> StreamDefinition:
            return validated(StreamDefinition, merge_plainly(content, given))

        stored = await self._streams.change(
            call.principal.workspace_id, _reference(call), expected_revision(call.request), change
        )
        await renew(self._snapshot, self._streams.table)
        return json_response(shown(await self._streams.with_tokens(stored)), headers=entity_tag(stored.revision))

    async def _delete(self, call: Call) -> web.Response:
        revision = expected_revision(call.request)
        await self._streams.delete(call.principal.workspace_id, _reference(call), revision)
        await renew(self._snapshot, self._streams.table, *self._streams.affects)
        return web.Response(status=204)

    async def _reset_token(self, call: Call) -> web.Response:
        overlap = timedelta(seconds=call.body.overlap_seconds)
        stored, secret = await self._streams.reset_token(call.principal.workspace_id, _reference(call), overlap)
        await renew(self._snapshot, TOKENS)
        return json_response({"token": secret.secret, "tokens": shown(stored)["tokens"]}, 201)

    async def _samples(self, call: Call) -> web.Response:
        stored = await self._streams.get(call.principal.workspace_id, _reference(call))
        content, runs = stored.content, stored.content.workflow_id or stored.content.template_key
        fields = fields_of(await self._streams.variables(stored))
        url = f"{self._public_url}{STREAMS}/{content.key}/events"
        events = _request(url, {"contact": dict(CONTACT), **nested(fields)}) if runs else None
        found = await self._events.page(stored.id, None, 1)
        message: dict[str, Any] = {"internal_id": "your-own-id-1", "recipient_phone": CONTACT["phone_number"]}
        if content.sender is not None:
            message["sender"] = content.sender
        if found:
            said = found[0].content
            paths = said.references()
            if said.template_key is not None:
                paths = frozenset(await self._streams.variables_of(stored.workspace_id, [said.template_key]))
            message |= {"event_key": said.key, "variables": nested(fields_of(paths))}
        else:
            message["message_content"] = "Your message"
        send = _request(f"{self._public_url}{EVENT_SEND}", {"messages": [message]})
        return json_response({"fields": fields, "events": events, "event_send": send})

    async def _create_event(self, call: Call) -> web.Response:
        stored = await self._events.create(await self._stream_id(call), call.body)
        await renew(self._snapshot, self._events.table)
        return json_response(_event(stored), 201, entity_tag(stored.revision))

    async def _list_events(self, call: Call) -> web.Response:
        limit = call.query.limit
        found = await self._events.page(await self._stream_id(call), call.query.cursor, limit + 1)
        return page_response(found, limit, _event, lambda stored: stored.id)

    async def _get_event(self, call: Call) -> web.Response:
        stored = await self._events.get(await self._stream_id(call), call.request.match_info["reference"])
        return json_response(_event(stored), headers=entity_tag(stored.revision))

    async def _change_event(self, call: Call) -> web.Response:
        given = orjson.loads(call.raw or b"{}")

        def change(content: StreamEventDefinition) -> StreamEventDefinition:
            return validated(StreamEventDefinition, merge_plainly(content, given))

        reference, revision = call.request.match_info["reference"], expected_revision(call.request)
        stored = await self._events.change(await self._stream_id(call), reference, revision, change)
        await renew(self._snapshot, self._events.table)
        return json_response(_event(stored), headers=entity_tag(stored.revision))

    async def _delete_event(self, call: Call) -> web.Response:
        reference, revision = call.request.match_info["reference"], expected_revision(call.request)
        await self._events.delete(await self._stream_id(call), reference, revision)
        await renew(self._snapshot, self._events.table)
        return web.Response(status=204)

    async def _stream_id(self, call: Call) -> UUID:
        return (await self._streams.get(call.principal.workspace_id, _reference(call))).id


def stream_operations(database: Database, snapshot: CatalogSnapshot, clock: Clock, public_url: str) -> list[Operation]:
    """Return every operation on streams' definitions. `database` is of the schema `catalog`."""
    return StreamDefinitions(Streams(database, clock), StreamEvents(database, clock), snapshot, public_url).operations()


def _reference(call: Call) -> str:
    return call.request.match_info["stream_id"]


def _event(stored: Stored[StreamEventDefinition]) -> dict[str, Any]:
    content = stored.content
    parts = None if content.text is None else segment(content.text)
    return {
        "id": stored.id,
        **content.model_dump(mode="json"),
        "variables": sorted(content.references()),
        "segments": None if parts is None else parts.segments,
        "encoding": None if parts is None else parts.encoding,
        **record_of(stored),
    }


def _request(url: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"url": url, "body": body, "samples": [sample._asdict() for sample in samples(url, body)]}
