"""`POST …/send` on each channel, and `POST /workflows/trigger`: one request, one trigger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

from aiohttp import web

from ingest.domain import naming
from ingest.domain.acceptance import Acceptance, Circumstances, accept_send, accept_workflow
from ingest.domain.answers import Accepted, SendAccepted
from ingest.domain.bodies import SEND_BODIES, SendBody, WorkflowTrigger
from ingest.domain.definitions_view import DefinitionsView
from ingest.domain.refusal import RefusedError
from ingest.handlers.intake import Intake
from ingest.handlers.refusals import problem_of
from sluice_catalog.api_keys import EVENTS_WRITE
from sluice_contracts import topics
from sluice_contracts.messages.trigger import TriggerAccepted
from sluice_contracts.vocabulary import Channel, Lane
from sluice_messaging.records import OutboundRecord, headers_of
from sluice_runtime import metrics
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import IDEMPOTENCY_KEY, Call, Operation
from sluice_runtime.http.problems import Problem

_PATHS: Final[dict[Channel, tuple[str, str]]] = {
    Channel.SMS: ("/api/v1/messages/sms/send", "/api/v1/sms/send"),
    Channel.EMAIL: ("/api/v1/messages/email/send", "/api/v1/messages/send"),
    Channel.WHATSAPP: ("/api/v1/messages/whatsapp/send", "/api/v1/whatsapp/send"),
}
_ACCEPTED: Final = {lane: metrics.ACCEPTED_TRIGGERS.labels(lane) for lane in Lane}
_TOPICS: Final = {lane: topics.triggers(lane) for lane in Lane}
_HEADERS: Final = headers_of(TriggerAccepted)
_LABELS: Final = {Channel.SMS: "an SMS", Channel.EMAIL: "an email", Channel.WHATSAPP: "a WhatsApp message"}

T = TypeVar("T")


Renew = Callable[[], Awaitable[bool]]
"""Reads the catalog anew, unless that happened a moment ago; says whether it may have changed. Never raises."""


class Sends:
    """Takes single requests in. The way of a good one touches memory and the broker, and nothing else."""

    def __init__(self, definitions: DefinitionsView, renew: Renew, intake: Intake, clock: Clock) -> None:
        self._definitions = definitions
        self._renew = renew
        self._intake = intake
        self._clock = clock

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        sends = [
            Operation(
                "POST",
                path,
                f"send_{channel.value}",
                f"Send {_LABELS[channel]} to a contact, several, an audience or a bare address",
                "Sends",
                partial(self._send, channel),
                EVENTS_WRITE,
                body=SEND_BODIES[channel],
                answers={200: SendAccepted},
                aliases=(alias,),
            )
            for channel, (path, alias) in _PATHS.items()
        ]
        workflow = Operation(
            "POST",
            "/api/v1/workflows/trigger",
            "trigger_workflow",
            "Start a workflow for a contact, several, or an audience",
            "Sends",
            self._trigger,
            EVENTS_WRITE,
            body=WorkflowTrigger,
            answers={200: Accepted},
        )
        return [*sends, workflow]

    async def _send(self, channel: Channel, call: Call) -> web.StreamResponse:
        body: SendBody = call.body
        circumstances = self._circumstances(call)
        return await self._take(lambda: accept_send(body, channel, circumstances, self._definitions))

    async def _trigger(self, call: Call) -> web.StreamResponse:
        body: WorkflowTrigger = call.body
        circumstances = self._circumstances(call)
        return await self._take(lambda: accept_workflow(body, circumstances, self._definitions))

    async def _take(self, accept: Callable[[], Acceptance]) -> web.StreamResponse:
        acceptance = await asked_twice(accept, self._renew)
        await self._intake.append([record_of(acceptance)])
        count_accepted(acceptance.lane)
        return json_response({"success": True, **ids_of(acceptance)})

    def _circumstances(self, call: Call) -> Circumstances:
        now = self._clock.now()
        workspace_id = call.principal.workspace_id
        key = call.request.headers.get(IDEMPOTENCY_KEY)
        return Circumstances(workspace_id, naming.trigger_id(workspace_id, key, now), now)


async def asked_twice(
    decide: Callable[[], T], renew: Renew, problem_for: Callable[[RefusedError], Problem] = problem_of
) -> T:
    """Return what `decide` decides; where it misses a definition, look whether it has been made a moment ago.

    Raises Problem 422 or 409 where the request is refused, as `problem_for` words it.
    """
    try:
        return decide()
    except RefusedError as refusal:
        if not refusal.missing or not await renew():
            raise problem_for(refusal) from refusal
    try:
        return decide()
    except RefusedError as refusal:
        raise problem_for(refusal) from refusal


def count_accepted(lane: Lane, number: int = 1) -> None:
    """Count triggers that have been accepted."""
    _ACCEPTED[lane].inc(number)


def record_of(acceptance: Acceptance) -> OutboundRecord:
    """Return the record that stands for an accepted trigger."""
    return OutboundRecord(_TOPICS[acceptance.lane], acceptance.trigger_id.encode(), acceptance.value, _HEADERS)


def ids_of(acceptance: Acceptance) -> dict[str, Any]:
    """Return the ids that the caller is told: of the trigger, and of its only job."""
    if acceptance.job_id is None:
        return {"trigger_id": acceptance.trigger_id}
    return {"trigger_id": acceptance.trigger_id, "job_id": acceptance.job_id}
