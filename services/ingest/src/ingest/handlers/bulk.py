"""Bulk calls: up to a thousand items, one result an item in their order, one publish for all that are good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError

from ingest.domain import naming
from ingest.domain.acceptance import Acceptance, Circumstances, accept_workflow
from ingest.domain.answers import BulkAnswer
from ingest.domain.bodies import ITEMS, BulkSends, BulkTriggers, SendItem, WorkflowTrigger
from ingest.domain.definitions_view import DefinitionsView
from ingest.domain.refusal import RefusedError
from ingest.domain.series import Series
from ingest.handlers.intake import Intake
from ingest.handlers.items import TURN, append_accepted, misshapen
from ingest.handlers.refusals import problem_of
from ingest.handlers.sends import Renew, ids_of
from sluice_catalog.api_keys import EVENTS_WRITE
from sluice_contracts.base import format_instant
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import DEFAULT_BODY_LIMIT, json_response
from sluice_runtime.http.operations import IDEMPOTENCY_KEY, Call, Operation, items_held
from sluice_runtime.http.problems import Problem, invalid
from sluice_runtime.http.validation import field_errors

BODY_LIMIT: Final = 16 * 1024 * 1024

B = TypeVar("B")
Read = Callable[[Any], B]
Accept = Callable[[B, Circumstances], Acceptance]

_SENDS: Final = TypeAdapter(list[Annotated[SendItem, Field(discriminator="channel")]])
_TRIGGERS: Final = TypeAdapter(list[WorkflowTrigger])


@dataclass(frozen=True, slots=True)
class _Missed:
    """An item that names a definition that is not in memory."""

    problem: Problem


Outcome = Acceptance | _Missed | Problem


class Bulk:
    """Takes bulk requests in."""

    def __init__(self, definitions: DefinitionsView, renew: Renew, intake: Intake, clock: Clock) -> None:
        self._definitions = definitions
        self._renew = renew
        self._intake = intake
        self._clock = clock

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        return [
            Operation(
                "POST",
                "/api/v1/messages/bulk",
                "send_bulk",
                "Send up to 1,000 messages, each on a channel of its own",
                "Sends",
                self._send,
                EVENTS_WRITE,
                body=BulkSends,
                answers={200: BulkAnswer},
                body_limit=BODY_LIMIT,
                cost=items_held,
            ),
            Operation(
                "POST",
                "/api/v1/workflows/trigger/bulk",
                "trigger_workflow_bulk",
                "Start up to 1,000 workflows",
                "Sends",
                self._trigger,
                EVENTS_WRITE,
                body=BulkTriggers,
                answers={200: BulkAnswer},
                body_limit=BODY_LIMIT,
                cost=items_held,
            ),
        ]

    async def _send(self, call: Call) -> web.StreamResponse:
        series = Series(self._definitions)
        return await self._take(call, call.body.messages, _read_send, _SENDS, series.accept)

    async def _trigger(self, call: Call) -> web.StreamResponse:
        return await self._take(
            call, call.body.triggers, WorkflowTrigger.model_validate, _TRIGGERS, self._accept_workflow
        )

    def _accept_workflow(self, body: WorkflowTrigger, circumstances: Circumstances) -> Acceptance:
        return accept_workflow(body, circumstances, self._definitions)

    async def _take(
        self, call: Call, items: Sequence[Any], read: Read[B], several: TypeAdapter[list[B]], accept: Accept[B]
    ) -> web.StreamResponse:
        now, measured = self._clock.now(), len(call.raw) > DEFAULT_BODY_LIMIT
        workspace_id, written_now = call.principal.workspace_id, format_instant(now)
        ids = naming.trigger_ids(workspace_id, call.request.headers.get(IDEMPOTENCY_KEY), now, len(items))

        def decide(index: int, body: B | None) -> Outcome:
            item = items[index]
            wrong = misshapen(item, measured=measured) if body is None else None
            if wrong is not None:
                return wrong
            try:
                circumstances = Circumstances(workspace_id, ids[index], now, written_now)
                return accept(read(item) if body is None else body, circumstances)
            except ValidationError as error:
                return invalid(field_errors(error, item))
            except RefusedError as refusal:
                problem = problem_of(refusal)
                return _Missed(problem) if refusal.missing else problem
            except Problem as problem:
                return problem

        decided: list[Outcome] = []
        for start in range(0, len(items), TURN):
            together = items[start : start + TURN]
            bodies = [None] * len(together) if measured else _read_together(together, several)
            decided += [decide(start + place, body) for place, body in enumerate(bodies)]
            await asyncio.sleep(0)
        if any(isinstance(outcome, _Missed) for outcome in decided) and await self._renew():
            for index, outcome in enumerate(decided):
                if isinstance(outcome, _Missed):
                    decided[index] = decide(index, None)
        good = [outcome for outcome in decided if isinstance(outcome, Acceptance)]
        await append_accepted(self._intake, good)
        return json_response(
            {
                "success": len(good) == len(decided),
                "accepted": len(good),
                "failed": len(decided) - len(good),
                "results": [_result(index, outcome) for index, outcome in enumerate(decided)],
            }
        )


def _read_together(items: Sequence[Any], several: TypeAdapter[list[B]]) -> Sequence[B] | Sequence[None]:
    """Return what the items say; where one of them is wrong nothing of any, for each to be read by itself."""
    try:
        return several.validate_python(items)
    except ValidationError:
        return [None] * len(items)


def _read_send(item: dict[str, Any]) -> SendItem:
    channel = item.get("channel")
    model = ITEMS.get(channel) if isinstance(channel, str) else None
    if model is None:
        raise invalid([{"field": "channel", "message": f"must be one of {', '.join(ITEMS)}"}])
    return model.model_validate(item)


def _result(index: int, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Acceptance):
        return {"index": index, "success": True, **ids_of(outcome)}
    problem = outcome.problem if isinstance(outcome, _Missed) else outcome
    return {"index": index, "success": False, "problem": problem.document(), "errors": problem.errors}
