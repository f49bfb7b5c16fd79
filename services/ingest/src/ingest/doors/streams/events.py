"""`POST …/streams/{stream_id}/events` and `…/test`: one event, one trigger. Touches memory and the broker alone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID

from aiohttp import web

from ingest.domain import naming
from ingest.domain.acceptance import Acceptance
from ingest.domain.refusal import RefusedError, WrongField
from ingest.doors.streams.accepting import (
    Happening,
    accept_event,
    accept_message,
    content_of_event,
    current,
    own_content,
    profile_of,
    sandbox_recipient,
)
from ingest.doors.streams.activity import StreamActivity
from ingest.doors.streams.bodies import EventAccepted, EventBody, TestAccepted, TestBody, TestQuery
from ingest.doors.streams.credentials import STREAM, STREAM_ID, StreamCredentials
from ingest.doors.streams.refusals import decided, refused
from ingest.handlers.intake import Intake
from ingest.handlers.sends import Renew, ids_of, record_of
from sluice_catalog.api_keys import EVENTS_WRITE
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_catalog.streams import Stream
from sluice_runtime import metrics
from sluice_runtime.api import IDEMPOTENCY_KEY, Call, Door, Operation
from sluice_runtime.clock import Clock
from sluice_runtime.http import json_response

DOOR: Final = "streams"
TAG: Final = "Streams"
PATH: Final = "/api/v1/streams/{stream_id}"
SUCCESS: Final = "success"


class StreamEventsDoor:
    """Takes events of streams in."""

    def __init__(
        self,
        snapshot: CatalogSnapshot,
        credentials: StreamCredentials,
        activity: StreamActivity,
        renew: Renew,
        intake: Intake,
        clock: Clock,
    ) -> None:
        self._snapshot = snapshot
        self._credentials = credentials
        self._door = Door(DOOR, credentials.render, authenticate=credentials.by_path)
        self._activity = activity
        self._renew = renew
        self._intake = intake
        self._clock = clock

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
        trigger_id = stream_trigger_id(given.id, call.request.headers.get(IDEMPOTENCY_KEY), now)

        def decide() -> Acceptance:
            stream = current(given, self._snapshot)
            require_left_today(self._activity.left_today(stream, now), stream, now)
            profile = profile_of(body.contact, self._country(stream))
            return accept_event(Happening(stream, trigger_id, now, body.properties), profile, self._snapshot)

        acceptance = await decided(decide, self._renew)
        await self._append(acceptance)
        self._activity.accept(given, now)
        return json_response({"status": SUCCESS, **ids_of(acceptance)})

    async def _test(self, call: Call) -> web.StreamResponse:
        """A stream can be tested whatever its status is; a test is neither counted nor limited as an event."""
        body: TestBody = call.body
        query: TestQuery = call.query
        now = self._clock.now()
        workspace_id = call.principal.workspace_id
        given = await self._credentials.find(workspace_id, call.request.match_info[STREAM_ID])
        sandbox = query.sandbox or body.contact is None
        key = call.request.headers.get(IDEMPOTENCY_KEY)
        trigger_id = naming.trigger_id(workspace_id, key, now)

        def decide() -> Acceptance:
            stream = self._snapshot.stream(workspace_id, str(given.id)) or given
            happening = Happening(stream, trigger_id, now, body.properties, test=True, sandbox=sandbox)
            return self._accept_test(happening, body, query.event)

        acceptance = await decided(decide, self._renew)
        await self._append(acceptance)
        return json_response({"status": SUCCESS, **ids_of(acceptance), "test": True, "sandbox": sandbox})

    def _accept_test(self, happening: Happening, body: TestBody, event_key: str | None) -> Acceptance:
        stream = happening.stream
        profile = None if body.contact is None else profile_of(body.contact, self._country(stream))
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

    async def _append(self, acceptance: Acceptance) -> None:
        await self._intake.append([record_of(acceptance)])
        metrics.ACCEPTED_TRIGGERS.labels(acceptance.trigger.lane).inc()

    def _country(self, stream: Stream) -> str | None:
        return default_country(self._snapshot, stream)


def default_country(snapshot: CatalogSnapshot, stream: Stream) -> str | None:
    """Return the country whose numbers are written without a calling code in a stream's workspace."""
    settings = snapshot.workspace(stream.workspace_id)
    return None if settings is None else settings.default_country


def stream_trigger_id(stream_id: UUID, idempotency_key: str | None, now: datetime, index: int | None = None) -> UUID:
    """Return a trigger's id; one that is derived from a caller's key is another in each stream."""
    return naming.trigger_id(stream_id, idempotency_key, now, index)


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
