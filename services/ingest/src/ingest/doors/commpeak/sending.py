"""`POST /event_send/`: up to a thousand messages, one result each in their order, one publish for all that are good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from ingest.domain.acceptance import Acceptance
from ingest.doors.commpeak.bodies import EventSend, EventSendAnswer, Message
from ingest.doors.commpeak.mapping import Sending, accept
from ingest.doors.streams.accepting import current
from ingest.doors.streams.credentials import STREAM
from ingest.doors.streams.reception import Reception
from ingest.doors.streams.refusals import code_of, refused
from ingest.handlers.items import append_accepted, in_turns
from ingest.handlers.sends import ids_of
from sluice_catalog.api_keys import EVENTS_WRITE
from sluice_catalog.credentials import client_address
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.doors import Door
from sluice_runtime.http.operations import IDEMPOTENCY_KEY, Call, Operation, items_held
from sluice_runtime.http.problems import Problem, invalid
from sluice_runtime.http.validation import field_errors

DOOR: Final = "commpeak"
PATH: Final = "/event_send/"
BODY_LIMIT: Final = 16 * 1024 * 1024

Outcome = Acceptance | Problem


class EventSending:
    """Takes CommPeak's messages in. Touches memory and the broker alone."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._activity = reception.activity
        self._snapshot = reception.snapshot
        self._door = Door(DOOR, reception.credentials.render, authenticate=reception.credentials.by_token)

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation(
                "POST", PATH, "commpeak_event_send", "Send messages through the stream whose token is given",
                "CommPeak", self._send, EVENTS_WRITE, body=EventSend, answers={200: EventSendAnswer},
                body_limit=BODY_LIMIT, aliases=(PATH.rstrip("/"),), cost=items_held, door=self._door,
            )
        ]  # fmt: skip

    async def _send(self, call: Call) -> web.StreamResponse:
        given = call.request[STREAM]
        stream = await self._reception.decided(lambda: current(given, self._snapshot))
        now, key = self._reception.clock.now(), call.request.headers.get(IDEMPOTENCY_KEY)
        sending = Sending(stream, now, self._reception.default_country(stream), key)
        items = call.body.messages
        outcomes = await self._judged(items, sending)
        good = {outcome.trigger_id: outcome for outcome in outcomes if isinstance(outcome, Acceptance)}
        await append_accepted(self._reception.intake, list(good.values()))
        if good:
            self._activity.accept(stream, now, len(good))
        self._count_refused(call, sending, outcomes)
        return json_response(_answer(items, outcomes))

    async def _judged(self, items: Sequence[Any], sending: Sending) -> list[Outcome]:
        left = self._activity.left_today(sending.stream, sending.now)
        seen: dict[str, tuple[Message, Acceptance]] = {}
        taken = 0
        outcomes: list[Outcome] = []
        async for index, item in in_turns(items):
            try:
                message = Message.model_validate(item) if isinstance(item, dict) else None
                if message is None:
                    raise invalid([{"field": "", "message": "must be an object"}])
                repeated = _repeated(message, seen)
                if repeated is not None:
                    outcomes.append(repeated)
                    continue
                if left is not None and taken >= left:
                    raise refused(429, "daily_limit", "The stream has taken in its maximum for today.")
                acceptance = await self._accepted(message, index, sending)
            except ValidationError as error:
                outcomes.append(invalid(field_errors(error, item)))
            except Problem as problem:
                outcomes.append(problem)
            else:
                taken += 1
                outcomes.append(acceptance)
                if message.internal_id is not None:
                    seen[message.internal_id] = message, acceptance
        return outcomes

    async def _accepted(self, message: Message, index: int, sending: Sending) -> Acceptance:
        """Judge one message, and once more where it names an event that another copy may have heard of."""
        return await self._reception.decided(lambda: accept(message, index, sending, self._snapshot))

    def _count_refused(self, call: Call, sending: Sending, outcomes: Sequence[Outcome]) -> None:
        codes = Counter(code_of(outcome) for outcome in outcomes if isinstance(outcome, Problem))
        for code, number in codes.items():
            self._activity.refuse(sending.stream, code, client_address(call.request), sending.now, number)


def _repeated(message: Message, seen: dict[str, tuple[Message, Acceptance]]) -> Acceptance | None:
    """Return what the same message earlier in the call became.

    Raises Problem where the internal id belongs to another message of the call.
    """
    if message.internal_id is None or message.internal_id not in seen:
        return None
    first, acceptance = seen[message.internal_id]
    if first != message:
        raise refused(422, "internal_id_reused", "Another message of this call has this internal_id.")
    return acceptance


def _answer(items: Sequence[Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    accepted = sum(isinstance(outcome, Acceptance) for outcome in outcomes)
    status = "success" if accepted == len(outcomes) else "partial" if accepted else "failed"
    return {
        "status": status,
        "accepted": accepted,
        "rejected": len(outcomes) - accepted,
        "messages": [_result(item, outcome) for item, outcome in zip(items, outcomes, strict=True)],
    }


def _result(item: Any, outcome: Outcome) -> dict[str, Any]:
    internal_id = item.get("internal_id") if isinstance(item, dict) else None
    named = {"internal_id": internal_id if isinstance(internal_id, str | int) else None}
    if isinstance(outcome, Acceptance):
        return {**named, "status": "accepted", **ids_of(outcome)}
    reasons = "; ".join(f"{error['field']}: {error['message']}".removeprefix(": ") for error in outcome.errors)
    return {**named, "status": "rejected", "code": code_of(outcome), "error": reasons or outcome.detail}
