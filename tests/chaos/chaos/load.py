"""The load: sends of every kind at a steady pace, and a file with everything that was asked and answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from chaos.caller import AWAY, Caller
from chaos.definitions import GROUP, SERIES, SLOW_SERIES
from chaos.history import Policy, Request
from chaos.people import Person, Population

_REPEAT_SECONDS: Final = 2.0
_CHANNELS: Final = ("sms", "email", "whatsapp")


@dataclass(frozen=True, slots=True)
class Order:
    """A request as it will be made, and who is to get what through it."""

    path: str
    body: Mapping[str, Any]
    what: str
    policy: Policy
    people: Mapping[str, frozenset[str]]


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

    def campaign(self, tenant: Tenant, channel: str) -> None:
        """Send to the whole audience of a workspace."""
        people = [person for person in tenant.population.people if "everyone" in person.tags]
        self.send(tenant, self._offer(channel, people, {"recipient_type": "tag", "tags": ["everyone"]}))

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
        answers: dict[str, list[str]] = {}
        for line in self._file.read_text().splitlines():
            entry = json.loads(line)
            if "asked" in entry:
                asked[entry["mark"]] = entry
            elif entry.get("trigger_id"):
                answers.setdefault(entry["mark"], []).append(entry["trigger_id"])
        return [
            Request(
                mark,
                entry["workspace"],
                entry["asked"],
                Policy(entry["policy"]),
                {channel: frozenset(addresses) for channel, addresses in entry["people"].items()},
                tuple(answers.get(mark, ())),
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
        body = {**order.body, "variables": {**order.body.get("variables", {}), "mark": mark}}
        people = {channel: sorted(addresses) for channel, addresses in order.people.items()}
        self._write(
            mark=mark, asked=order.what, workspace=tenant.name, policy=order.policy, people=people, path=order.path
        )
        headers = {"Idempotency-Key": f"chaos-{mark}"}
        repeats_well = self._random.random() < 0.1
        while True:
            answer = await tenant.caller.call("POST", order.path, body, headers)
            trigger_id = answer.body.get("trigger_id") if answer.status == 200 else None
            self._write(mark=mark, status=answer.status, trigger_id=trigger_id)
            if answer.status not in {*AWAY, 409}:
                if not repeats_well:
                    return
                # Now and then a client repeats what it was answered: the answer got lost on its side.
                repeats_well = False
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * _REPEAT_SECONDS)

    def _write(self, **entry: Any) -> None:
        self._output.write(json.dumps({"at": time.time(), **entry}) + "\n")

    def _draw(self, tenant: Tenant) -> Order:
        random, population = self._random, tenant.population
        somebody = random.choice(population.regulars)
        tag, group = random.choice(sorted(population.groups.items()))
        several = random.sample(population.regulars[: -len(_CHANNELS)], 3)
        match random.choices(("code", "invoice", "offer", "several", "series", "everywhere"), (6, 4, 4, 2, 2, 1))[0]:
            case "code":
                return self._code(tenant, somebody)
            case "invoice":
                return _order_of("email", "invoice", "transactional", Policy.RESEND, [somebody], _to(somebody))
            case "offer":
                return self._offer(random.choice(_CHANNELS), [somebody], _to(somebody))
            case "several":
                ids = [person.external_id for person in several]
                recipients = {"recipient_type": "contacts", "contact_external_ids": ids}
                return self._offer(random.choice(_CHANNELS), several, recipients)
            case "series":
                name = SLOW_SERIES if self._slow and random.random() < 0.5 else SERIES
                return _workflow(name, ("email", "sms"), tag, group)
            case _:
                return _workflow(GROUP, _CHANNELS, tag, group)

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


def _to(person: Person) -> dict[str, Any]:
    return {"recipient_type": "contact", "contact_external_id": person.external_id}


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
