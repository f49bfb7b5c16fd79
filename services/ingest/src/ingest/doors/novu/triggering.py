"""`/v1/events/trigger`, `/bulk` and `/broadcast`: the way of a good event touches memory and the broker alone.

Two things are tried beside that, and never waited for long: to look up an actor who is named by an id alone, and to
keep what an event says of a tenant.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import structlog
from aiohttp import web
from pydantic import ValidationError

from ingest.definitions.resource import renew as renewed
from ingest.domain import naming
from ingest.domain.acceptance import Circumstances
from ingest.doors.novu import payloads
from ingest.doors.novu.bodies import BroadcastBody, BulkEventBody, EventBody, EventFields
from ingest.doors.novu.events import Decision, NovuView, WorkflowNotFound, actor_of, decide
from ingest.doors.novu.people import for_templates
from ingest.doors.novu.recipients import is_subscriber_id
from ingest.handlers.intake import Intake
from ingest.handlers.items import in_turns
from ingest.handlers.sends import Renew
from sluice_catalog.api_keys import EVENTS_WRITE
from sluice_catalog.definitions.problems import DefinitionProblem
from sluice_catalog.definitions.tenants import TenantDefinition, Tenants
from sluice_catalog.models import Tenant
from sluice_catalog.repository import Catalog
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts import topics
from sluice_messaging.records import OutboundRecord, outbound
from sluice_runtime import metrics
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import DEFAULT_BODY_LIMIT
from sluice_runtime.http.novu import NOVU, NovuAnswer, enveloped, refused
from sluice_runtime.http.operations import IDEMPOTENCY_KEY, Call, Operation, items_held
from sluice_runtime.http.problems import Problem
from sluice_runtime.http.validation import field_errors

BODY_LIMIT: Final = 21 * 1024 * 1024
"""Attachments may have 20 MB beside the payload; of a bulk, all events together."""

NOT_FOUND: Final = "workflow_not_found"
MOST_TRIGGER_BYTES: Final = 1920 * 1024
"""What one event may come to with all its people; a broker takes a record of 2 MB."""

_BESIDE_SECONDS: Final = 0.5
_TURN: Final = 10
_TAG: Final = "Novu"
_log = structlog.get_logger()


class Triggering:
    """Takes events in."""

    def __init__(
        self,
        snapshot: CatalogSnapshot,
        view: NovuView,
        renew: Renew,
        intake: Intake,
        clock: Clock,
        catalog: Catalog,
        tenants: Tenants,
    ) -> None:
        self._snapshot = snapshot
        self._view = view
        self._renew = renew
        self._intake = intake
        self._clock = clock
        self._catalog = catalog
        self._tenants = tenants

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        path = "/v1/events/trigger"
        return [
            Operation(
                "POST", path, "novu_trigger_event", "Trigger a workflow for its recipients", _TAG, self._one,
                EVENTS_WRITE, body=EventBody, answers={201: NovuAnswer}, body_limit=BODY_LIMIT, door=NOVU,
            ),
            Operation(
                "POST", f"{path}/bulk", "novu_trigger_bulk", "Trigger up to 100 events", _TAG, self._bulk,
                EVENTS_WRITE, body=BulkEventBody, answers={201: NovuAnswer}, body_limit=BODY_LIMIT, cost=items_held,
                door=NOVU,
            ),
            Operation(
                "POST", f"{path}/broadcast", "novu_broadcast_event", "Trigger a workflow for every subscriber", _TAG,
                self._one, EVENTS_WRITE, body=BroadcastBody, answers={201: NovuAnswer}, body_limit=BODY_LIMIT,
                door=NOVU,
            ),
        ]  # fmt: skip

    async def _one(self, call: Call) -> web.StreamResponse:
        body: EventBody | BroadcastBody = call.body
        size = payloads.oversize(body.payload) if len(call.raw) > DEFAULT_BODY_LIMIT else None
        if size is not None:
            raise refused(payloads.too_large("Payload", size), 413)
        known = await self._actors(call.principal.workspace_id, [body])
        circumstances = self._circumstances(call)
        try:
            decision = await self._decide(body, circumstances, known)
        except WorkflowNotFound as error:
            raise refused(NOT_FOUND) from error
        if len(call.raw) > DEFAULT_BODY_LIMIT and (size := _oversize(decision)):
            raise refused(f"The event comes to {size} bytes; {MOST_TRIGGER_BYTES} are the most", 413)
        await self._carry_out([decision])
        return enveloped(decision.shown(), 201)

    async def _bulk(self, call: Call) -> web.StreamResponse:
        read = [_read(item, index, measured=len(call.raw) > DEFAULT_BODY_LIMIT)
                for index, item in enumerate(call.body.events)]  # fmt: skip
        known = await self._actors(call.principal.workspace_id, [one for one in read if not isinstance(one, str)])
        outcomes: list[Decision | str] = []
        async for index, one in in_turns(read, _TURN):
            outcomes.append(one if isinstance(one, str) else await self._item(call, index, one, known))
        await self._carry_out([outcome for outcome in outcomes if isinstance(outcome, Decision)])
        return enveloped([_shown(*pair) for pair in zip(call.body.events, outcomes, strict=True)], 201)

    async def _item(self, call: Call, index: int, body: EventBody, known: dict[str, dict[str, Any]]) -> Decision | str:
        try:
            decision = await self._decide(body, self._circumstances(call, index), known)
        except WorkflowNotFound:
            return NOT_FOUND
        except Problem as problem:
            return _sentence(problem)
        if len(call.raw) > DEFAULT_BODY_LIMIT and (size := _oversize(decision)):
            return f"Event at index {index} comes to {size} bytes; {MOST_TRIGGER_BYTES} are the most"
        return decision

    async def _decide(
        self, body: EventBody | BroadcastBody, circumstances: Circumstances, known: dict[str, dict[str, Any]]
    ) -> Decision:
        """Return what becomes of an event; where it misses a definition, look whether it has been made a moment ago."""
        actor = actor_of(body.actor, known)
        try:
            decision = decide(body, circumstances, self._view, actor)
            if not decision.missing or not await self._renew():
                return decision
        except WorkflowNotFound:
            if not await self._renew():
                raise
        return decide(body, circumstances, self._view, actor)

    async def _carry_out(self, decisions: Sequence[Decision]) -> None:
        # The same transaction twice in one call is one trigger: the first counts.
        triggers = {
            decision.trigger.trigger_id: decision.trigger
            for decision in reversed(decisions)
            if decision.trigger is not None
        }
        records: list[OutboundRecord] = []
        async for _, trigger in in_turns(reversed(triggers.values()), _TURN):
            records.append(outbound(topics.triggers(trigger.lane), trigger))
        if records:
            await self._intake.append(records)
        for lane, count in Counter(trigger.lane for trigger in triggers.values()).items():
            metrics.ACCEPTED_TRIGGERS.labels(lane).inc(count)
        for decision in decisions:
            if decision.trigger is not None and decision.tenant is not None:
                await self._keep_tenant(decision.trigger.workspace_id, decision.tenant)

    def _circumstances(self, call: Call, index: int | None = None) -> Circumstances:
        now = self._clock.now()
        workspace_id = call.principal.workspace_id
        key = call.request.headers.get(IDEMPOTENCY_KEY)
        return Circumstances(workspace_id, naming.trigger_id(workspace_id, key, now, index), now)

    async def _actors(self, workspace_id: UUID, bodies: Iterable[EventFields]) -> dict[str, dict[str, Any]]:
        wanted = {body.actor for body in bodies if is_subscriber_id(body.actor)}
        if not wanted:
            return {}
        try:
            async with asyncio.timeout(_BESIDE_SECONDS):
                found = await self._catalog.contacts_by_external_id(workspace_id, wanted)
        except Exception as error:  # noqa: BLE001 - whatever it is, an event does not fail because of who acted
            _log.warning("actors.unknown", count=len(wanted), error=type(error).__name__)
            return {}
        return {contact.external_id: for_templates(contact) for contact in found}

    async def _keep_tenant(self, workspace_id: UUID, tenant: Tenant) -> None:
        content = TenantDefinition(key=tenant.key, name=tenant.name, data=tenant.data)
        try:
            async with asyncio.timeout(_BESIDE_SECONDS):
                await self._tenants.put(workspace_id, content.key, content)
                await renewed(self._snapshot, self._tenants.table)
        except (DefinitionProblem, ValueError) as error:
            _log.info("tenant.not_kept", error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the event has its tenant; the next one says it again
            _log.warning("tenant.not_kept", error=type(error).__name__)


def _read(item: Any, index: int, *, measured: bool) -> EventBody | str:
    """Return the event that an item of a bulk is, or a sentence on why it is none."""
    if not isinstance(item, dict):
        return f"events.{index} must be an object"
    try:
        body = EventBody.model_validate(item)
    except ValidationError as error:
        return "; ".join(f"{entry['field']}: {entry['message']}" for entry in field_errors(error, item))
    size = payloads.oversize(body.payload) if measured else None
    if size is not None:
        return payloads.too_large(f'Event at index {index} (workflow: "{body.name}") has payload', size)
    return body


def _oversize(decision: Decision) -> int | None:
    """Return the bytes of a trigger that no broker takes, None of one that can be stored."""
    size = 0 if decision.trigger is None else len(decision.trigger.encode())
    return size if size > MOST_TRIGGER_BYTES else None


def _shown(item: Any, outcome: Decision | str) -> dict[str, Any]:
    if isinstance(outcome, Decision):
        return outcome.shown()
    failed: dict[str, Any] = {"acknowledged": True, "status": "error", "error": [outcome]}
    given = item.get("transactionId") if isinstance(item, dict) else None
    return {**failed, "transactionId": given} if isinstance(given, str) else failed


def _sentence(problem: Problem) -> str:
    if problem.errors:
        return "; ".join(f"{error['field']}: {error['message']}" for error in problem.errors)
    return problem.detail or problem.title
