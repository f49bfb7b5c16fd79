"""What a run is about: people, definitions, triggers and what is asked of them, all drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from simulated.events import ORDERS, STARTING, drawn_events, rule_for, waiting_steps
from simulated.people import People
from sluice_catalog.models import (
    Contact,
    ProviderAccount,
    TemplateVariant,
    TemplateVersion,
    WaitStep,
    WorkflowStep,
    WorkflowVersion,
)
from sluice_contracts import topics
from sluice_contracts.messages.content import Content, InlineEmail, InlineSms
from sluice_contracts.messages.event import EventOccurred
from sluice_contracts.messages.trigger import (
    AddressRecipients,
    AllRecipients,
    ContactRecipients,
    DirectSend,
    Recipients,
    TriggerAccepted,
    TriggerActionRequested,
    WorkflowStart,
)
from sluice_contracts.vocabulary import Category, Channel, Lane, WorkflowType

CHANNELS = (Channel.SMS, Channel.EMAIL)

SIZES = (1, 2, 2, 3, 3, 5, 5, 8, 8, 13, 13, 21, 55, 60, 105, 205)
"""How many people a workspace may have. Most of what can happen happens to a few; then more than a wave, or a page."""


@dataclass(frozen=True)
class Planned:
    """A message from outside, at so many seconds from the start."""

    at: float
    topic: str
    message: TriggerAccepted | TriggerActionRequested | EventOccurred


def contact(number: int, workspace_id: UUID, **values: Any) -> Contact:
    """Return somebody who can be reached on both channels."""
    return Contact(
        **{
            "id": UUID(int=workspace_id.int << 32 | number),
            "workspace_id": workspace_id,
            "external_id": f"c{number}",
            "status": "active",
            "email": f"c{number}@example.com",
            "phone_number": f"+1415555{number:04d}",
            "country": "US",
            "locale": "en-US",
            "timezone": "UTC",
            "name": f"Name {number}",
            "first_name": f"First {number}",
            "last_name": None,
            "tags": (),
            "attributes": {},
            "opt_outs": {},
            **values,
        }
    )


class Scenario:
    """The people and triggers of one run."""

    def __init__(self, fate: random.Random, start: datetime, channels: Sequence[Channel]) -> None:
        self.people = People()
        self.triggers: dict[UUID, TriggerAccepted] = {}
        self.planned: list[Planned] = []
        self._fate = fate
        self._start = start
        self._channels = channels
        self.events: list[tuple[float, EventOccurred]] = []
        self._is_eventful = fate.random() < 0.4
        self._workspaces = [UUID(int=number) for number in range(1, fate.choice([2, 2, 3]))]
        for workspace_id in self._workspaces:
            self._populate(workspace_id)
        for number in range(fate.choice([1, 1, 2, 3])):
            self._add_trigger(number)
        if self._is_eventful:
            for workspace_id in self._workspaces:
                self._add_events(workspace_id)
        self.planned.sort(key=lambda planned: planned.at)

    @classmethod
    def of(cls, people: People, trigger: TriggerAccepted) -> Scenario:
        """Return a scenario of just this."""
        scenario = cls.__new__(cls)
        scenario.people = people
        scenario.triggers = {trigger.trigger_id: trigger}
        scenario.planned = []
        scenario.events = []
        return scenario

    def _populate(self, workspace_id: UUID) -> None:
        fate = self._fate
        for number in range(fate.choice(SIZES)):
            person = contact(number, workspace_id)
            flaw = fate.random()
            if flaw < 0.04:
                person = contact(number, workspace_id, phone_number=None)
            elif flaw < 0.07:
                person = contact(number, workspace_id, email=None)
            elif flaw < 0.09:
                person = contact(number, workspace_id, status="inactive")
            elif flaw < 0.11:
                person = contact(number, workspace_id, opt_outs={"sms": ["*"]})
            self.people.add(person)
        rate = fate.choice([None, None, 40.0])
        for channel in self._channels:
            account_id = UUID(int=workspace_id.int << 16 | 1 + list(Channel).index(channel))
            self.people.accounts[account_id] = ProviderAccount(
                account_id, workspace_id, channel, "simulated", "one", {}, {}, rate_per_second=rate, is_default=True
            )
            template_id = UUID(int=workspace_id.int << 24 | 1 + list(Channel).index(channel))
            body = {"text": "Hello {{ first_name }}"} | ({"subject": "Hi"} if channel is Channel.EMAIL else {})
            self.people.templates[template_id] = TemplateVersion(
                template_id, workspace_id, 1, f"hello-{channel}", "Hello", channel, Category.MARKETING,
                (TemplateVariant(None, None, "approved", body),), frozenset({"first_name"}),
            )  # fmt: skip

    def _add_trigger(self, number: int) -> None:
        fate = self._fate
        workspace_id = fate.choice(self._workspaces)
        category = fate.choice(
            [Category.MARKETING, Category.MARKETING, Category.TRANSACTIONAL, Category.AUTHENTICATION]
        )
        recipients = self._recipients(workspace_id)
        audience = isinstance(recipients, AllRecipients)
        lane = Lane.PRIORITY if category.is_essential and not audience else Lane.BULK
        at = fate.random() * 4
        accepted_at = self._start + timedelta(milliseconds=int(at * 1000))
        plan: DirectSend | WorkflowStart
        if fate.random() < 0.55 or isinstance(recipients, AddressRecipients):
            channel = recipients.channel if isinstance(recipients, AddressRecipients) else fate.choice(self._channels)
            plan = DirectSend(channel=channel, content=_content(channel))
        else:
            workflow = self._workflow(workspace_id, category, number)
            plan = WorkflowStart(workflow_id=workflow.workflow_id, version=1, name=workflow.name)
        trigger = TriggerAccepted(
            trigger_id=UUID(int=fate.getrandbits(128), version=4),
            workspace_id=workspace_id,
            accepted_at=accepted_at,
            lane=lane,
            category=category,
            plan=plan,
            variables={"order": fate.choice(ORDERS)},
            recipients=recipients,
            excluded_contacts=["c1"] if fate.random() < 0.2 else [],
            trigger_at=accepted_at + timedelta(seconds=3) if fate.random() < 0.15 else None,
        )
        self.triggers[trigger.trigger_id] = trigger
        self.planned.append(Planned(at, topics.triggers(lane), trigger))
        if fate.random() < 0.2:
            self.planned.append(Planned(at + fate.random() * 5, topics.triggers(lane), trigger))
        self._add_requests(trigger, at)

    def _add_requests(self, trigger: TriggerAccepted, at: float) -> None:
        fate = self._fate
        moments = sorted(max(0.0, at - 0.2 + fate.random() * fate.choice([0.5, 2, 8])) for _ in range(2))
        wish = fate.random()
        if wish < 0.2:
            self._request(trigger, moments[0], "cancel")
        elif wish < 0.45:
            self._request(trigger, moments[0], "pause")
            self._request(trigger, moments[1] + 0.1, "resume" if wish < 0.38 else "cancel")

    def _request(self, trigger: TriggerAccepted, at: float, action: Any) -> None:
        request = TriggerActionRequested(
            trigger_id=trigger.trigger_id,
            workspace_id=trigger.workspace_id,
            requested_at=self._start + timedelta(milliseconds=int(at * 1000)),
            action=action,
        )
        self.planned.append(Planned(at, topics.triggers(Lane.PRIORITY), request))

    def _recipients(self, workspace_id: UUID) -> Recipients:
        fate = self._fate
        everybody = [one.external_id for one in self.people.of(workspace_id)]
        kind = fate.random()
        if kind < 0.4:
            return AllRecipients()
        if kind < 0.55:
            numbers = [f"+1212555{number:04d}" for number in range(fate.choice([1, 3, 70]))]
            return AddressRecipients(channel=Channel.SMS, addresses=[*numbers, *(["nonsense"] if kind < 0.42 else [])])
        some = fate.sample(everybody, fate.randint(1, len(everybody)))
        return ContactRecipients(external_ids=[*some, *(["nobody"] if kind > 0.9 else [])])

    def _workflow(self, workspace_id: UUID, category: Category, number: int) -> WorkflowVersion:
        fate = self._fate
        workflow_id = UUID(int=workspace_id.int << 40 | number + 1)
        common = {"workflow_id": workflow_id, "workspace_id": workspace_id, "version": 1, "category": category}
        if fate.random() < 0.35:
            workflow = WorkflowVersion(
                **common,
                name="Group",
                type=WorkflowType.TEMPLATE_GROUP,
                template_group_id=workflow_id,
                templates=tuple((channel, f"hello-{channel}") for channel in self._channels),
            )
        else:
            workflow = WorkflowVersion(**common, name="Steps", type=WorkflowType.STEPS, steps=self._steps())
        self.people.workflows[workflow_id, 1] = workflow
        return workflow

    def _add_events(self, workspace_id: UUID) -> None:
        fate = self._fate
        for number in range(fate.choice([0, 1, 2])):
            category = fate.choice([Category.MARKETING, Category.TRANSACTIONAL])
            workflow = self._workflow(workspace_id, category, 8 + number)
            self.people.rules.setdefault((workspace_id, STARTING), []).append(rule_for(fate, number, workflow))
        drawn = drawn_events(fate, self._start, workspace_id)
        self.events += drawn
        self.planned += [Planned(at, topics.EVENTS, event) for at, event in drawn]

    def _steps(self) -> tuple[WorkflowStep | WaitStep, ...]:
        fate = self._fate
        if self._is_eventful and fate.random() < 0.7:
            return waiting_steps(fate, self._channels)
        steps: list[WorkflowStep] = []
        for order in range(1, fate.choice([3, 3, 4])):
            channel = fate.choice(self._channels)
            condition = "steps['step-1'].state == 'sent'" if order > 1 and fate.random() < 0.4 else None
            delay = fate.choice([0, 0, 0, 0, 0, 1]) if order > 1 else 0
            key = f"hello-{channel}" if fate.random() < 0.95 else "gone"
            steps.append(WorkflowStep(f"step-{order}", f"Step {order}", channel, key, delay, condition))
        return tuple(steps)


def _content(channel: Channel) -> Content:
    return (
        InlineEmail(subject="Hi", text="Hello {{ first_name }}")
        if channel is Channel.EMAIL
        else InlineSms(text="Hello")
    )
