"""Takes events in. The way of a good one touches memory and the broker, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from aiohttp import web
from pydantic import ValidationError

from ingest.domain.refusal import RefusedError
from ingest.doors.events.bodies import Event, EventAccepted, EventResults, Events
from ingest.doors.streams.accepting import profile_of
from ingest.handlers.intake import Intake
from ingest.handlers.items import in_turns, misshapen
from ingest.handlers.refusals import problem_of
from sluice_catalog.api_keys import EVENTS_WRITE
from sluice_catalog.models import WorkspaceSettings
from sluice_contracts.identifiers import derived_id, new_id
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.topics import EVENTS
from sluice_messaging.records import OutboundRecord, outbound
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import DEFAULT_BODY_LIMIT, json_response
from sluice_runtime.http.operations import IDEMPOTENCY_KEY, Call, Operation, items_held
from sluice_runtime.http.problems import Problem, invalid
from sluice_runtime.http.validation import field_errors

_TAG: Final = "Events"
_BULK_LIMIT: Final = 16 * 1024 * 1024


class Workspaces(Protocol):
    """What the door knows of workspaces."""

    def workspace(self, workspace_id: UUID, /) -> WorkspaceSettings | None:
        """Return a workspace's settings, from memory."""
        ...


class EventDoor:
    """`POST /api/v1/events` and `/api/v1/events/bulk`."""

    def __init__(self, workspaces: Workspaces, intake: Intake, clock: Clock) -> None:
        self._workspaces = workspaces
        self._intake = intake
        self._clock = clock

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation(
                "POST",
                "/api/v1/events",
                "send_event",
                "Tell what happened to a contact; trigger rules decide what follows",
                _TAG,
                self._one,
                EVENTS_WRITE,
                body=Event,
                answers={200: EventAccepted},
            ),
            Operation(
                "POST",
                "/api/v1/events/bulk",
                "send_events",
                "Tell up to 1,000 events",
                _TAG,
                self._many,
                EVENTS_WRITE,
                body=Events,
                answers={200: EventResults},
                body_limit=_BULK_LIMIT,
                cost=items_held,
            ),
        ]

    async def _one(self, call: Call) -> web.StreamResponse:
        try:
            event = self._event(call, call.body)
        except RefusedError as refusal:
            raise problem_of(refusal) from refusal
        await self._intake.append([_record(event)])
        return json_response({"success": True, "event_id": str(event.event_id)})

    async def _many(self, call: Call) -> web.StreamResponse:
        measured = len(call.raw) > DEFAULT_BODY_LIMIT
        decided: list[EventOccurred | Problem] = []
        async for index, item in in_turns(call.body.events):
            decided.append(self._decide(call, index, item, measured=measured))
        good = [outcome for outcome in decided if isinstance(outcome, EventOccurred)]
        if good:
            await self._intake.append([_record(event) for event in good])
        return json_response(_results(decided, len(good)))

    def _decide(self, call: Call, index: int, item: Any, *, measured: bool) -> EventOccurred | Problem:
        wrong = misshapen(item, measured=measured)
        if wrong is not None:
            return wrong
        try:
            return self._event(call, Event.model_validate(item), index)
        except ValidationError as error:
            return invalid(field_errors(error, item))
        except RefusedError as refusal:
            return problem_of(refusal)

    def _event(self, call: Call, body: Event, index: int | None = None) -> EventOccurred:
        """Return the event. Raises RefusedError where an address of its contact is none."""
        now = self._clock.now()
        workspace_id = call.principal.workspace_id
        settings = self._workspaces.workspace(workspace_id)
        country = None if settings is None else settings.default_country
        profile = None if body.contact is None else profile_of(body.contact, country)
        return EventOccurred(
            event_id=event_id(workspace_id, call.request.headers.get(IDEMPOTENCY_KEY), now, index),
            workspace_id=workspace_id,
            name=body.event,
            external_id=body.contact_external_id if profile is None else profile.external_id,
            profile=profile,
            data=body.data,
            occurred_at=body.occurred_at or now,
            accepted_at=now,
            correlation_key=body.correlation_key,
        )


def event_id(workspace_id: UUID, idempotency_key: str | None, now: datetime, index: int | None = None) -> UUID:
    """Return an event's id: derived from the caller's key, so that a repeat names the same event, or else new.

    `index` is the place in a bulk call.
    """
    if idempotency_key is None:
        return new_id(now.timestamp())
    # A header's value holds no line break: no single call's key can name a bulk call's item.
    key = idempotency_key if index is None else f"{idempotency_key}\n{index}"
    return derived_id(workspace_id, f"event:{key}")


def _record(event: EventOccurred) -> OutboundRecord:
    return outbound(EVENTS, event)


def _results(decided: Sequence[EventOccurred | Problem], accepted: int) -> dict[str, Any]:
    return {
        "success": accepted == len(decided),
        "accepted": accepted,
        "failed": len(decided) - accepted,
        "results": [_result(index, outcome) for index, outcome in enumerate(decided)],
    }


def _result(index: int, outcome: EventOccurred | Problem) -> dict[str, Any]:
    if isinstance(outcome, EventOccurred):
        return {"index": index, "success": True, "event_id": str(outcome.event_id)}
    return {"index": index, "success": False, "problem": outcome.document(), "errors": outcome.errors}
