"""The load: sends of every kind at a steady pace, and a file with everything that was asked and answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

from chaos.caller import AWAY
from chaos.definitions import ANSWERED
from chaos.history import Act, Action, Policy, Request
from chaos.orders import EVENTS, Order, Orders, offer
from chaos.steering import Operator
from chaos.tenant import Tenant

_REPEAT_SECONDS: Final = 2.0
_LINGER_SECONDS: Final = (0.0, 40.0)


class Load:
    """Sends until it is told to stop, then repeats what nobody has answered until somebody does."""

    def __init__(self, tenants: Sequence[Tenant], file: Path, seed: int, per_second: float) -> None:
        self._tenants = tenants
        self._file = file
        self._output = file.open("a", buffering=1)
        self._random = Random(f"load {seed}")
        self._per_second = per_second
        self._open: set[asyncio.Task[None]] = set()
        self._orders = Orders(self._random)
        self.asked = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Send one request after another, until `stop` is set."""
        while not stop.is_set():
            tenant = self._random.choice(self._tenants)
            self.send(tenant, self._orders.draw(tenant))
            await asyncio.sleep(self._random.expovariate(self._per_second))

    def without_slow_workflows(self) -> None:
        """Start none of the workflows that take a minute from now on."""
        self._orders.slow = False

    def campaign(self, tenant: Tenant, channel: str, act: Act | None = None) -> None:
        """Send to the whole audience of a workspace."""
        people = [person for person in tenant.population.people if "everyone" in person.tags]
        order = offer(channel, people, {"recipient_type": "tag", "tags": ["everyone"]})
        self.send(tenant, replace(order, act=act))

    def send(self, tenant: Tenant, order: Order) -> None:
        """Send under a key of its own, and keep asking in the background until it is answered."""
        mark = "".join(self._random.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=12))
        self.asked += 1
        task = asyncio.create_task(self._ask(tenant, mark, order))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    @property
    def busy(self) -> int:
        """How many requests are not answered yet, or have an operator at work on what they led to."""
        return len(self._open)

    def requests(self) -> list[Request]:
        """Read back from the file what was asked and answered."""
        asked: dict[str, dict[str, Any]] = {}
        answers: dict[tuple[str, str], list[str]] = {}
        actions: dict[str, dict[str, Action]] = {}
        for line in self._file.read_text().splitlines():
            entry = json.loads(line)
            mark = entry["mark"]
            if "asked" in entry:
                asked[mark] = entry
            elif "act" in entry:
                _put_down(actions.setdefault(mark, {}), entry)
            for kind in ("trigger_id", "event_id"):
                if entry.get(kind):
                    answers.setdefault((mark, kind), []).append(entry[kind])
        return [
            Request(
                mark,
                entry["workspace"],
                entry["asked"],
                Policy(entry["policy"]),
                {channel: frozenset(addresses) for channel, addresses in entry["people"].items()},
                tuple(answers.get((mark, "trigger_id"), ())),
                tuple(actions.get(mark, {}).values()),
                tuple(answers.get((mark, "event_id"), ())),
            )
            for mark, entry in asked.items()
        ]

    async def close(self) -> None:
        """Ask nothing more."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        self._output.close()

    async def _ask(self, tenant: Tenant, mark: str, order: Order) -> None:
        place = "data" if order.path == EVENTS else "variables"
        body = {**order.body, place: {**order.body.get(place, {}), "mark": mark}}
        people = {channel: sorted(addresses) for channel, addresses in order.people.items()}
        self._write(
            mark=mark, asked=order.what, workspace=tenant.name, policy=order.policy, people=people, path=order.path
        )
        linger = self._random.uniform(*_LINGER_SECONDS)
        accepted = await self._until_answered(tenant, mark, order.path, body, f"chaos-{mark}")
        if order.awaited is not None:
            told = {"event": ANSWERED, "contact_external_id": order.awaited.external_id, "data": {"mark": mark}}
            await self._until_answered(tenant, mark, EVENTS, told, f"chaos-{mark}-answer", event_as="awaited_id")
        if order.act is not None and "trigger_id" in accepted:
            operator = Operator(
                tenant.caller, self._random, lambda act, phase: self._write(mark=mark, act=act, phase=phase)
            )
            await operator.do(order.act, accepted["trigger_id"], linger)

    async def _until_answered(
        self, tenant: Tenant, mark: str, path: str, body: Mapping[str, Any], key: str, event_as: str = "event_id"
    ) -> Mapping[str, Any]:
        """Ask until somebody answers, and return the answer; an event's id is put down as `event_as`."""
        repeats_well = self._random.random() < 0.1
        while True:
            answer = await tenant.caller.call("POST", path, body, {"Idempotency-Key": key})
            accepted = answer.body if answer.status == 200 else {}
            names = {"trigger_id": "trigger_id", "event_id": event_as}
            self._write(
                mark=mark, status=answer.status, **{names[kind]: accepted[kind] for kind in names if kind in accepted}
            )
            if answer.status not in {*AWAY, 409}:
                if not repeats_well:
                    return accepted
                # Now and then a client repeats what it was answered: the answer got lost on its side.
                repeats_well = False
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * _REPEAT_SECONDS)

    def _write(self, **entry: Any) -> None:
        self._output.write(json.dumps({"at": time.time(), **entry}) + "\n")


def _put_down(actions: dict[str, Action], entry: Mapping[str, Any]) -> None:
    """Join a line about an action to what is known of it; the first moment of each kind counts."""
    act, at = Act(entry["act"]), float(entry["at"])
    action = actions.setdefault(act, Action(act, at))
    match entry["phase"]:
        case "accepted" if action.accepted_at is None:
            actions[act] = replace(action, accepted_at=at)
        case "shown" if action.shown_at is None:
            actions[act] = replace(action, shown_at=at)
