"""`POST …/streams/{stream_id}/events` and `…/test`: one event, one trigger. Touches memory and the broker alone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Final

from aiohttp import web

from ingest.domain import naming
from ingest.domain.acceptance import Acceptance
from ingest.domain.refusal import RefusedError, WrongField
from ingest.doors.streams.accepting import (
    Described,
    Happening,
    accept_event,
    accept_message,
    content_of_event,
    current,
    described,
    own_content,
    profile_of,
    sandbox_recipient,
)
from ingest.doors.streams.bodies import EventAccepted, EventBody, EventContact, TestAccepted, TestBody, TestQuery
from ingest.doors.streams.credentials import STREAM, STREAM_ID
from ingest.doors.streams.reception import Reception
from ingest.doors.streams.refusals import refused
from ingest.handlers.items import append_accepted
from ingest.handlers.sends import ids_of
from sluice_catalog.api_keys import EVENTS_WRITE
from sluice_catalog.streams import Stream
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.doors import Door
from sluice_runtime.http.operations import IDEMPOTENCY_KEY, Call, Operation

DOOR: Final = "streams"
TAG: Final = "Streams"
PATH: Final = "/api/v1/streams/{stream_id}"
SUCCESS: Final = "success"


class StreamEventsDoor:
    """Takes events of streams in."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._snapshot = reception.snapshot
        self._clock = reception.clock
        self._door = Door(DOOR, reception.credentials.render, authenticate=reception.credentials.by_path)

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation(
                "POST", f"{PATH}/events", "trigger_stream", "Fire an event at a stream for a contact", TAG, self._event,
                EVENTS_WRITE, body=EventBody, answers={200: EventAccepted}, door=self._door,
            ),
            Operation(
                "POST", f"{PATH}/test", "test_stream", "Send one event through a stream as a test", TAG, self._test,
                EVENTS_WRITE, body=TestBody, query=TestQuery, answers={200: TestAccepted},
            ),
        ]  # fmt: skip

    async def _event(self, call: Call) -> web.StreamResponse:
        body: EventBody = call.body
        given = call.request[STREAM]
        now = self._clock.now()
        trigger_id = naming.trigger_id(given.id, call.request.headers.get(IDEMPOTENCY_KEY), now)

        def decide() -> tuple[Acceptance, Described]:
            stream = current(given, self._snapshot)
            require_left_today(self._reception.activity.left_today(stream, now), stream, now)
            person = described(body.contact, self._reception.default_country(stream))
            happening = Happening(stream, trigger_id, now, body.properties)
            return accept_event(happening, person.profile, self._snapshot), person

        acceptance, person = await self._reception.decided(decide)
        await append_accepted(self._reception.intake, [acceptance])
        self._reception.activity.accept(given, now)
        return json_response({"status": SUCCESS, **ids_of(acceptance), **person.warnings})

    async def _test(self, call: Call) -> web.StreamResponse:
        """A stream can be tested whatever its status is; a test is neither counted nor limited as an event."""
        body: TestBody = call.body
        query: TestQuery = call.query
        now = self._clock.now()
        workspace_id = call.principal.workspace_id
        given = await self._reception.credentials.find(workspace_id, call.request.match_info[STREAM_ID])
        sandbox = query.sandbox or body.contact is None
        key = call.request.headers.get(IDEMPOTENCY_KEY)
        trigger_id = naming.trigger_id(workspace_id, key, now)

        def decide() -> Acceptance:
            stream = self._snapshot.stream(workspace_id, str(given.id)) or given
            happening = Happening(stream, trigger_id, now, body.properties, test=True, sandbox=sandbox)
            return self._accept_test(happening, body.contact, query.event)

        acceptance = await self._reception.decided(decide)
        await append_accepted(self._reception.intake, [acceptance])
        return json_response({"status": SUCCESS, **ids_of(acceptance), "test": True, "sandbox": sandbox})

    def _accept_test(self, happening: Happening, contact: EventContact | None, event_key: str | None) -> Acceptance:
        stream = happening.stream
        profile = None if contact is None else profile_of(contact, self._reception.default_country(stream))
        if event_key is None and profile is not None:
            return accept_event(happening, profile, self._snapshot)
        if event_key is None and stream.workflow_id is not None:
            raise RefusedError([WrongField("contact", "is needed to test a stream that runs a workflow")])
        if event_key is None:
            message = own_content(stream, self._snapshot)
        else:
            event = self._snapshot.stream_event(stream.id, event_key)
            if event is None:
                raise RefusedError([WrongField("event", f"there is no event {event_key!r}")], missing=True)
            message = content_of_event(stream, event, self._snapshot)
        return accept_message(happening, message, profile or sandbox_recipient(message[0]), self._snapshot)


def require_left_today(left: int | None, stream: Stream, now: datetime) -> None:
    """Return if a stream takes another event in today.

    Raises Problem 429 that says how long it is to the end of the day, UTC.
    """
    if left is None or left > 0:
        return
    midnight = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    seconds = max(1, round((midnight - now).total_seconds()))
    detail = f"The stream {stream.name!r} has taken in its maximum of {stream.per_day} events for today."
    raise refused(429, "daily_limit", detail, Retry_After=str(seconds))
