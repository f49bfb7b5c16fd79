"""Events of which nobody has said what became of them: the triggers that they started tell of them.

What became of an event is said once, on the topic `executions`. Where that topic lost its log before it was read here,
nobody can say it again: the event itself is kept nowhere. Its triggers are on topics of their own and have ids that
follow from the event's and their rule's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

from sluice_catalog.events import NamedRule
from sluice_contracts.identifiers import trigger_id_for_rule
from sluice_runtime.clock import Clock
from status_api.adapters.event_store import EventOutcome, EventRow, EventStore

Rules = Callable[[UUID], Awaitable[Sequence[NamedRule]]]
"""Returns the rules of a workspace."""


class UnheardEvents:
    """Finds an event by its triggers, from `silence` after it was accepted on and for `retention`."""

    def __init__(
        self, store: EventStore, rules: Rules, clock: Clock, *, silence: timedelta, retention: timedelta
    ) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock
        self._silence = silence
        self._retention = retention

    async def find(self, workspace_id: UUID, event_id: UUID) -> EventRow | None:
        """Return what the triggers of an event tell of it, None where it has started none."""
        rules = {trigger_id_for_rule(event_id, rule.rule_id): rule for rule in await self._rules(workspace_id)}
        now = self._clock.now()
        started = await self._store.started(workspace_id, rules, now - self._retention, now - self._silence)
        if not started:
            return None
        answered = {trigger_id: rule for trigger_id, rule in rules.items() if trigger_id in started}
        return EventRow(
            event_id=event_id,
            name=next(iter(answered.values())).event,
            external_id=None,
            source=None,
            occurred_at=None,
            accepted_at=min(started.values()),
            evaluated_at=None,
            outcome=EventOutcome.TRIGGERED,
            waits=None,
            rules=[
                {
                    "rule_id": rule.rule_id,
                    "rule_name": rule.name,
                    "trigger_id": trigger_id,
                    "code": None,
                    "detail": None,
                }
                for trigger_id, rule in answered.items()
            ],
        )
