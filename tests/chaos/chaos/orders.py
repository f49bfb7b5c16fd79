"""Requests of every kind, drawn at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from chaos.definitions import BOUGHT, GROUP, PATIENT, SERIES, SLOW_SERIES
from chaos.history import Act, Policy
from chaos.people import Person
from chaos.tenant import Tenant

EVENTS: Final = "/api/v1/events"
_WORKFLOWS: Final = "/api/v1/workflows/trigger"
_CHANNELS: Final = ("sms", "email", "whatsapp")
_SHARES: Final = {
    "code": 6,
    "invoice": 4,
    "offer": 3,
    "event": 2,
    "awaited": 1,
    "several": 2,
    "retried": 1,
    "series": 2,
    "everywhere": 1,
}
"""Of how many requests of each kind the load is made."""


@dataclass(frozen=True, slots=True)
class Order:
    """A request as it will be made, who is to get what through it, and what is to be done to it meanwhile.

    `awaited` is of whom it awaits an event.
    """

    path: str
    body: Mapping[str, Any]
    what: str
    policy: Policy
    people: Mapping[str, frozenset[str]]
    act: Act | None = None
    awaited: Person | None = None


class Orders:
    """Draws requests. While `slow` is set, some of them are for workflows that take a minute."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.slow = True

    def draw(self, tenant: Tenant) -> Order:
        """Return a request of a workspace."""
        random, population = self._random, tenant.population
        somebody = random.choice(population.regulars)
        tag, group = random.choice(sorted(population.groups.items()))
        several = random.sample(population.grouped, 3)
        match random.choices(*zip(*_SHARES.items(), strict=True))[0]:
            case "code":
                return self._code(tenant, somebody)
            case "invoice":
                return _order_of("email", "invoice", "transactional", Policy.RESEND, [somebody], _to(somebody))
            case "offer":
                return offer(random.choice(_CHANNELS), [somebody], _to(somebody))
            case "several":
                return offer(random.choice(_CHANNELS), several, _to_each(several))
            case "retried":
                several = [*several, population.stubborn]
                return replace(offer("sms", several, _to_each(several)), act=Act.RETRY)
            case "event":
                body = {"event": BOUGHT, "contact_external_id": somebody.external_id}
                return Order(EVENTS, body, "event", Policy.HOLD, {"sms": frozenset({somebody.phone})})
            case "awaited":
                body = {"workflow_name": PATIENT, **_to(somebody)}
                people = {"sms": frozenset({somebody.phone})}
                return Order(_WORKFLOWS, body, "wait for an event", Policy.HOLD, people, awaited=somebody)
            case "series":
                name = SLOW_SERIES if self.slow and random.random() < 0.5 else SERIES
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


def offer(channel: str, people: Sequence[Person], recipients: Mapping[str, Any]) -> Order:
    """Return a marketing message to so many people, who are named by `recipients`."""
    return _order_of(channel, f"offer_{channel}", "marketing", Policy.HOLD, people, recipients)


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
    return Order(_WORKFLOWS, body, f"workflow {name} for {len(group)}", Policy.HOLD, people)
