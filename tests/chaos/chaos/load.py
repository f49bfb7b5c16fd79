"""The load: sends of every kind at a steady pace, and a file with everything that was asked and answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from chaos.caller import AWAY, Caller
from chaos.definitions import BOUGHT, GROUP, SERIES, SLOW_SERIES
from chaos.history import Act, Action, Policy, Request
from chaos.people import Person, Population
from chaos.steering import Operator

_REPEAT_SECONDS: Final = 2.0
_CHANNELS: Final = ("sms", "email", "whatsapp")
_LINGER_SECONDS: Final = (0.0, 40.0)
_EVENTS: Final = "/api/v1/events"


@dataclass(frozen=True, slots=True)
class Order:
    """A request as it will be made, who is to get what through it, and what is to be done to it meanwhile."""

    path: str
    body: Mapping[str, Any]
    what: str
    policy: Policy
    people: Mapping[str, frozenset[str]]
    act: Act | None = None


@dataclass(slots=True)
class Tenant:
    """One workspace: how it calls, who is in it, and the codes that it has sent."""

    name: str
    key: str
    caller: Caller
    population: Population
    codes: set[str] = field(default_factory=set)


class Load:
    """Sends until it is told to stop, then repeats what nobody has answered until somebody does."""

    def __init__(self, tenants: Sequence[Tenant], file: Path, seed: int, per_second: float) -> None:
        self._tenants = tenants
        self._file = file
        self._output = file.open("a", buffering=1)
        self._random = Random(f"load {seed}")
        self._per_second = per_second
        self._open: set[asyncio.Task[None]] = set()
        self._slow = True
        self.asked = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Send one request after another, until `stop` is set."""
        while not stop.is_set():
            tenant = self._random.choice(self._tenants)
            self.send(tenant, self._draw(tenant))
            await asyncio.sleep(self._random.expovariate(self._per_second))

    def without_slow_workflows(self) -> None:
        """Start none of the workflows that take a minute from now on."""
        self._slow = False

    def campaign(self, tenant: Tenant, channel: str, act: Act | None = None) -> None:
        """Send to the whole audience of a workspace."""
        people = [person for person in tenant.population.people if "everyone" in person.tags]
        order = self._offer(channel, people, {"recipient_type": "tag", "tags": ["everyone"]})
        self.send(tenant, replace(order, act=act))

    def send(self, tenant: Tenant, order: Order) -> None:
        """Send under a key of its own, and keep asking in the background until it is answered."""
        mark = "".join(self._random.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=12))
        self.asked += 1
        task = asyncio.create_task(self._ask(tenant, mark, order))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def answered(self, seconds: float) -> None:
        """Return once everything is answered, or after `seconds`."""
        if self._open:
            await asyncio.wait(self._open, timeout=seconds)

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
                asked_at=entry["at"],
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
        place = "data" if order.path == _EVENTS else "variables"
        body = {**order.body, place: {**order.body.get(place, {}), "mark": mark}}
        people = {channel: sorted(addresses) for channel, addresses in order.people.items()}
        self._write(
            mark=mark, asked=order.what, workspace=tenant.name, policy=order.policy, people=people, path=order.path
        )
        headers = {"Idempotency-Key": f"chaos-{mark}"}
        repeats_well = self._random.random() < 0.1
        linger = self._random.uniform(*_LINGER_SECONDS)
        while True:
            answer = await tenant.caller.call("POST", order.path, body, headers)
            accepted = answer.body if answer.status == 200 else {}
            ids = {kind: accepted[kind] for kind in ("trigger_id", "event_id") if kind in accepted}
            self._write(mark=mark, status=answer.status, **ids)
            if answer.status not in {*AWAY, 409}:
                if not repeats_well:
                    break
                # Now and then a client repeats what it was answered: the answer got lost on its side.
                repeats_well = False
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * _REPEAT_SECONDS)
        if order.act is not None and "trigger_id" in ids:
            operator = Operator(
                tenant.caller, self._random, lambda act, phase: self._write(mark=mark, act=act, phase=phase)
            )
            await operator.do(order.act, ids["trigger_id"], linger)

    def _write(self, **entry: Any) -> None:
        self._output.write(json.dumps({"at": time.time(), **entry}) + "\n")

    def _draw(self, tenant: Tenant) -> Order:
        random, population = self._random, tenant.population
        somebody = random.choice(population.regulars)
        tag, group = random.choice(sorted(population.groups.items()))
        several = random.sample(population.grouped, 3)
        kinds = ("code", "invoice", "offer", "event", "several", "retried", "series", "everywhere")
        match random.choices(kinds, (6, 4, 3, 2, 2, 1, 2, 1))[0]:
            case "code":
                return self._code(tenant, somebody)
            case "invoice":
                return _order_of("email", "invoice", "transactional", Policy.RESEND, [somebody], _to(somebody))
            case "offer":
                return self._offer(random.choice(_CHANNELS), [somebody], _to(somebody))
            case "several":
                return self._offer(random.choice(_CHANNELS), several, _to_each(several))
            case "retried":
                several = [*several, population.stubborn]
                return replace(self._offer("sms", several, _to_each(several)), act=Act.RETRY)
            case "event":
                body = {"event": BOUGHT, "contact_external_id": somebody.external_id}
                return Order(_EVENTS, body, "event", Policy.HOLD, {"sms": frozenset({somebody.phone})})
            case "series":
                name = SLOW_SERIES if self._slow and random.random() < 0.5 else SERIES
                return replace(_workflow(name, ("email", "sms"), tag, group), act=self._draw_act())
            case _:
                return replace(_workflow(GROUP, _CHANNELS, tag, group), act=self._draw_act())

    def _draw_act(self) -> Act | None:
        return self._random.choices((None, Act.CANCEL, Act.PAUSE), (3, 1, 1))[0]

    def _code(self, tenant: Tenant, somebody: Person) -> Order:
        code = f"9073{self._random.randrange(10**8):08d}"
        tenant.codes.add(code)
        recipients = _to(somebody)
        if self._random.random() < 0.5:
            recipients = {"recipient_type": "direct_sms", "direct_sms": somebody.phone}
        variables = {"variables": {"code": code}}
        return _order_of("sms", "code", "authentication", Policy.RESEND, [somebody], recipients | variables)

    def _offer(self, channel: str, people: Sequence[Person], recipients: Mapping[str, Any]) -> Order:
        return _order_of(channel, f"offer_{channel}", "marketing", Policy.HOLD, people, recipients)


def _put_down(actions: dict[str, Action], entry: Mapping[str, Any]) -> None:
    """Join a line about an action to what is known of it; the first moment of each kind counts."""
    act, at = Act(entry["act"]), float(entry["at"])
    action = actions.setdefault(act, Action(act, at))
    match entry["phase"]:
        case "accepted" if action.accepted_at is None:
            actions[act] = replace(action, accepted_at=at)
        case "shown" if action.shown_at is None:
            actions[act] = replace(action, shown_at=at)


def _to(person: Person) -> dict[str, Any]:
    return {"recipient_type": "contact", "contact_external_id": person.external_id}


def _to_each(people: Sequence[Person]) -> dict[str, Any]:
    return {"recipient_type": "contacts", "contact_external_ids": [person.external_id for person in people]}


def _order_of(
    channel: str,
    template: str,
    category: str,
    policy: Policy,
    people: Sequence[Person],
    recipients: Mapping[str, Any],
) -> Order:
    body = {"template_key": template, "category": category, **recipients}
    what = f"{category} {channel} to {len(people)}"
    addresses = frozenset(person.address(channel) for person in people)
    return Order(f"/api/v1/messages/{channel}/send", body, what, policy, {channel: addresses})


def _workflow(name: str, channels: Sequence[str], tag: str, group: Sequence[Person]) -> Order:
    body = {"workflow_name": name, "recipient_type": "tag", "tags": [tag]}
    people = {channel: frozenset(person.address(channel) for person in group) for channel in channels}
    return Order("/api/v1/workflows/trigger", body, f"workflow {name} for {len(group)}", Policy.HOLD, people)
