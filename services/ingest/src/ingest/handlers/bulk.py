"""Bulk calls: up to a thousand items, one result an item in their order, one publish for all that are good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from ingest.domain import naming
from ingest.domain.acceptance import Acceptance, Circumstances, accept_send, accept_workflow
from ingest.domain.answers import BulkAnswer
from ingest.domain.bodies import ITEMS, BulkSends, BulkTriggers, WorkflowTrigger
from ingest.domain.definitions_view import DefinitionsView
from ingest.domain.refusal import RefusedError
from ingest.handlers.intake import Intake
from ingest.handlers.items import append_accepted, in_turns, misshapen
from ingest.handlers.refusals import problem_of
from ingest.handlers.sends import Renew, ids_of
from sluice_catalog.api_keys import EVENTS_WRITE
from sluice_contracts.base import format_instant
from sluice_contracts.vocabulary import Channel
from sluice_runtime.clock import Clock
from sluice_runtime.http.bodies import DEFAULT_BODY_LIMIT, json_response
from sluice_runtime.http.operations import IDEMPOTENCY_KEY, Call, Operation, items_held
from sluice_runtime.http.problems import Problem, invalid
from sluice_runtime.http.validation import field_errors

BODY_LIMIT: Final = 16 * 1024 * 1024
Accept = Callable[[Any, Circumstances], Acceptance]


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
        return await self._take(call, call.body.messages, self._accept_send)

    async def _trigger(self, call: Call) -> web.StreamResponse:
        return await self._take(call, call.body.triggers, self._accept_workflow)

    def _accept_send(self, item: Any, circumstances: Circumstances) -> Acceptance:
        channel = item.get("channel")
        model = ITEMS.get(channel) if isinstance(channel, str) else None
        if model is None:
            raise invalid([{"field": "channel", "message": f"must be one of {', '.join(ITEMS)}"}])
        return accept_send(model.model_validate(item), Channel(channel), circumstances, self._definitions)

    def _accept_workflow(self, item: Any, circumstances: Circumstances) -> Acceptance:
        return accept_workflow(WorkflowTrigger.model_validate(item), circumstances, self._definitions)

    async def _take(self, call: Call, items: Sequence[Any], accept: Accept) -> web.StreamResponse:
        now, measured = self._clock.now(), len(call.raw) > DEFAULT_BODY_LIMIT
        workspace_id, written_now = call.principal.workspace_id, format_instant(now)
        ids = naming.trigger_ids(workspace_id, call.request.headers.get(IDEMPOTENCY_KEY), now, len(items))

        def decide(index: int, item: Any) -> Outcome:
            wrong = misshapen(item, measured=measured)
            return wrong or _decided(item, Circumstances(workspace_id, ids[index], now, written_now), accept)

        decided = [decide(index, item) async for index, item in in_turns(items)]
        if any(isinstance(outcome, _Missed) for outcome in decided) and await self._renew():
            for index, outcome in enumerate(decided):
                if isinstance(outcome, _Missed):
                    decided[index] = decide(index, items[index])
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


def _decided(item: Any, circumstances: Circumstances, accept: Accept) -> Outcome:
    try:
        return accept(item, circumstances)
    except ValidationError as error:
        return invalid(field_errors(error, item))
    except RefusedError as refusal:
        problem = problem_of(refusal)
        return _Missed(problem) if refusal.missing else problem
    except Problem as problem:
        return problem


def _result(index: int, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Acceptance):
        return {"index": index, "success": True, **ids_of(outcome)}
    problem = outcome.problem if isinstance(outcome, _Missed) else outcome
    return {"index": index, "success": False, "problem": problem.document(), "errors": problem.errors}
