"""The provider, as the truth about who was messaged: what it took, and what it will say about that later."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from simulated.broker import SimulatedBroker
from simulated.world import Machine, World
from sluice_catalog.models import ProviderAccount
from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    CallbackRequest,
    Limits,
    OutboundMessage,
    Outcome,
    Receipt,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
)
from sluice_contracts import topics
from sluice_contracts.messages.receipt import CallbackReceived
from sluice_contracts.references import JobReference, read_reference
from sluice_contracts.vocabulary import MessageState, SuppressionReason
from sluice_messaging.records import OutboundRecord, headers_of

_COURSES: Sequence[Sequence[MessageState]] = (
    (MessageState.SENT, MessageState.DELIVERED),
    (MessageState.DELIVERED,),
    (MessageState.DELIVERED, MessageState.READ),
    (MessageState.SENT, MessageState.UNDELIVERED),
    (MessageState.SENT,),
    (),
)

_CROWD = 30
"""So many people are not called one by one: that would be long, and show nothing that a few do not."""


@dataclass(frozen=True)
class HandOver:
    """One message that the provider took."""

    job: JobReference
    job_id: str
    at: float
    by: str


class Exchange:
    """All provider accounts together."""

    def __init__(self, world: World, broker: SimulatedBroker, reference_key: bytes, people: int) -> None:
        fate = world.fate
        self._world = world
        self._broker = broker
        self._reference_key = reference_key
        self._retries = fate.choice([0.0, 0.0, 0.05, 0.2])
        self._rejections = fate.choice([0.0, 0.05])
        self._silences = fate.choice([0.0, 0.0, 0.05, 0.2])
        self._refusals = fate.choice([0.0] * 12 + [0.05])
        self._limits = fate.choice([0.0, 0.0, 0.0, 0.05])
        self.stops = fate.choice([0.0, 0.02])
        self._slow_receipts = fate.choice([0.01, 0.5, 3.0])
        self.can_look_up = fate.random() < 0.3
        self.batch = fate.choice([1, 7, 50] if people < _CROWD else [7, 50])
        self.taken: list[HandOver] = []
        self.in_flight: defaultdict[Machine, dict[str, None]] = defaultdict(dict)
        self.forgiven: Counter[str] = Counter()
        self.said: dict[str, MessageState | None] = {}
        self.receipts_to_come = 0

    def take(self, machine: Machine, account: ProviderAccount, message: OutboundMessage) -> Outcome:
        """Take one message, or refuse it."""
        world = self._world
        if world.chance(self._retries):
            return Retry("503", "busy")
        if world.chance(self._limits):
            return Retry("429", "slow down", after=1.0, scope="account", burns_attempt=False)
        if world.chance(self._refusals):
            return RejectAccount("403", "no credit")
        if world.chance(self._rejections):
            if world.fate.random() < 0.5:
                return RejectRecipient("21211", "no such number", SuppressionReason.HARD_BOUNCE)
            return RejectMessage("400", "bad")
        self.in_flight[machine][message.job_id] = None
        is_silent = world.chance(self._silences)
        if is_silent and world.fate.random() < 0.5:
            return Ambiguous("no answer; it was not taken")
        job = read_reference(message.reference, self._reference_key)
        self.taken.append(HandOver(job, message.job_id, world.loop.moment, machine.name))
        world.note("taken", message.job_id, job.round)
        provider_id = f"p{len(self.taken)}"
        self._plan_receipts(account, message, provider_id)
        if machine.is_dead or machine.frozen_until > world.loop.moment or is_silent:
            self.forgiven[message.job_id] += 1
        if is_silent:
            return Ambiguous("no answer; it was taken")
        return Accepted(provider_id)

    def answer(self, reference: str) -> Outcome | None:
        """Return what became of a message, None where it was never taken."""
        job = read_reference(reference, self._reference_key)
        return Accepted("found") if any(one.job == job for one in self.taken) else None

    def forgive(self, machine: Machine) -> None:
        """Something happens to a process in the middle: what it has handed over and not recorded may be sent again."""
        for job_id in self.in_flight[machine]:
            self.forgiven[job_id] += 1

    def settle(self, job_ids: Sequence[str]) -> None:
        """What is recorded is in nobody's hands any more."""
        for held in self.in_flight.values():
            for job_id in job_ids:
                held.pop(job_id, None)

    def _plan_receipts(self, account: ProviderAccount, message: OutboundMessage, provider_id: str) -> None:
        fate = self._world.fate
        course = list(fate.choice(_COURSES))
        highest = max(course, key=lambda state: state.rank, default=None)
        known = self.said.get(message.job_id)
        if known is None or (highest is not None and highest.rank > known.rank):
            self.said[message.job_id] = highest
        if course and fate.random() < 0.2:
            course.append(fate.choice(course))
        for state in course:
            self.receipts_to_come += 1
            body = {"reference": message.reference, "state": state, "id": provider_id}
            if fate.random() < self.stops:
                body["suppress"] = SuppressionReason.STOP
            self._world.later(fate.random() * self._slow_receipts, lambda body=body: self._call_back(account, body))

    def _call_back(self, account: ProviderAccount, body: Mapping[str, str]) -> None:
        self.receipts_to_come -= 1
        now = self._world.loop.now()
        callback = CallbackReceived.written(
            channel=account.channel,
            workspace_id=account.workspace_id,
            account_id=account.id,
            provider=account.provider,
            received_at=now,
            body=base64.b64encode(orjson.dumps(body)).decode(),
        )
        topic, key = topics.receipts(account.channel), body["id"].encode()
        self._broker.append(OutboundRecord(topic, key, callback, headers_of(CallbackReceived)), 0)
        self._world.note("called back", body["id"], body["state"])


class SimulatedProvider:
    """One account, as one process reaches it."""

    name = "simulated"

    def __init__(self, world: World, machine: Machine, exchange: Exchange, account: ProviderAccount) -> None:
        self.channel = account.channel
        self.limits = Limits(batch=exchange.batch, concurrency=8)
        self._world = world
        self._machine = machine
        self._exchange = exchange
        self._account = account

    async def send(self, messages: Sequence[OutboundMessage]) -> Sequence[Outcome]:
        def action() -> list[Outcome]:
            return [self._exchange.take(self._machine, self._account, message) for message in messages]

        return await self._world.remote(self._machine, "provider", f"send {len(messages)}", action)

    async def look_up(self, references: Sequence[str]) -> Mapping[str, Outcome] | None:
        if not self._exchange.can_look_up:
            return None

        def action() -> dict[str, Outcome]:
            found = ((reference, self._exchange.answer(reference)) for reference in references)
            return {reference: outcome for reference, outcome in found if outcome is not None}

        return await self._world.remote(self._machine, "provider", "look up", action)

    def parse_receipt(self, request: CallbackRequest) -> Sequence[Receipt]:
        body = orjson.loads(request.body)
        wish = body.get("suppress")
        return [
            Receipt(
                body["reference"],
                provider_id=body["id"],
                message=MessageState(body["state"]),
                suppress=None if wish is None else SuppressionReason(wish),
            )
        ]

    async def close(self) -> None:
        return None
