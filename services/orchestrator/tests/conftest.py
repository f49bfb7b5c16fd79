"""A world for the orchestrator: a real database, a catalog in memory, a publisher that remembers, a clock to move."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from orchestrator.app import Parts
from orchestrator.settings import OrchestratorSettings
from sluice_catalog.events import ContactChange, EventKey, SegmentFilter
from sluice_catalog.models import (
    Contact,
    TemplateReference,
    TemplateVersion,
    TriggerRule,
    WorkflowVersion,
    WorkspaceSettings,
)
from sluice_catalog.profiles import GivenProfile
from sluice_contracts.base import Message
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.control import TriggerControl
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.execution import ExecutionMessage, decode_execution
from sluice_contracts.messages.trigger import (
    AllRecipients,
    ContactRecipients,
    DirectSend,
    RetryRequested,
    TriggerAccepted,
    TriggerActionRequested,
    WorkflowStart,
)
from sluice_contracts.vocabulary import Category, Channel, FilterCode, HoldCode, JobState, Lane, WorkflowType
from sluice_messaging.records import OutboundRecord, Record
from sluice_runtime.clock import ManualClock
from sluice_storage.database import Database
from sluice_storage.migrations import migrate

WORKSPACE = UUID(int=1)
_SAID = ("email", "phone_number", "name", "first_name", "last_name", "locale", "timezone")
START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class PowerCut(BaseException):
    """Ends a handler in the middle, as a crash would: nothing that catches exceptions sees it."""


class Catalogue:
    """The orchestrator's port to the catalog, in memory."""

    def __init__(self) -> None:
        self.contacts: dict[UUID, Contact] = {}
        self.settings: dict[UUID, WorkspaceSettings] = {}
        self.templates: dict[tuple[UUID, str], TemplateVersion] = {}
        self.workflows: dict[tuple[UUID, int], WorkflowVersion] = {}
        self.largest_read = 0
        self.kept_profiles: list[GivenProfile] = []
        self.rules: list[TriggerRule] = []
        self.waits: dict[EventKey, set[str]] = {}
        self.changes: list[ContactChange] = []
        self.segment_filters: list[SegmentFilter] = []

    def add(self, count: int, **values: Any) -> list[Contact]:
        """Add contacts c0, c1, …; a value may be a function of the number."""
        start = len(self.contacts)
        added = []
        for number in range(start, start + count):
            own = {name: value(number) if callable(value) else value for name, value in values.items()}
            contact = Contact(
                **{
                    "id": UUID(int=1000 + number),
                    "workspace_id": WORKSPACE,
                    "external_id": f"c{number}",
                    "status": "active",
                    "email": f"c{number}@example.com",
                    "phone_number": f"+1415{5550000 + number}",
                    "country": "US",
                    "locale": "en-US",
                    "timezone": "America/New_York",
                    "name": f"Name {number}",
                    "first_name": f"First {number}",
                    "last_name": None,
                    "tags": (),
                    "attributes": {"plan": "pro" if number % 2 else "free"},
                    "opt_outs": {},
                    **own,
                }
            )
            self.contacts[contact.id] = contact
            added.append(contact)
        return added

    def template(self, key: str, channel: Channel, version: int = 1, references: Iterable[str] = ()) -> TemplateVersion:
        """Define (a new version of) a template."""
        known = self.templates.get((WORKSPACE, key))
        template = TemplateVersion(
            known.template_id if known else uuid4(),
            WORKSPACE,
            version,
            key,
            key,
            channel,
            Category.MARKETING,
            (),
            frozenset(references),
        )
        self.templates[WORKSPACE, key] = template
        return template

    def workflow(self, **values: Any) -> WorkflowVersion:
        """Publish a workflow."""
        workflow = WorkflowVersion(
            **{
                "workflow_id": uuid4(),
                "workspace_id": WORKSPACE,
                "version": 1,
                "name": "Welcome Series",
                "type": WorkflowType.STEPS,
                "category": Category.MARKETING,
                **values,
            }
        )
        self.workflows[workflow.workflow_id, workflow.version] = workflow
        return workflow

    async def template_version(self, template_id: UUID, version: int) -> TemplateVersion | None:
        return next(
            (item for item in self.templates.values() if (item.template_id, item.version) == (template_id, version)),
            None,
        )

    async def template_by_key(self, workspace_id: UUID, key: str) -> TemplateReference | None:
        found = self.templates.get((workspace_id, key))
        return (
            None
            if found is None
            else TemplateReference(found.template_id, found.version, key, found.channel, found.category)
        )

    async def workflow_version(self, workflow_id: UUID, version: int) -> WorkflowVersion | None:
        return self.workflows.get((workflow_id, version))

    async def workspace_settings(self, workspace_id: UUID) -> WorkspaceSettings:
        return self.settings.get(workspace_id, WorkspaceSettings(workspace_id))

    async def contacts_by_external_id(self, workspace_id: UUID, external_ids: Collection[str]) -> list[Contact]:
        return [item for item in self._of(workspace_id) if item.external_id in set(external_ids)]

    async def contacts_by_id(self, workspace_id: UUID, ids: Collection[UUID]) -> list[Contact]:
        found = [item for item in self._of(workspace_id) if item.id in set(ids)]
        self.largest_read = max(self.largest_read, len(found))
        return found

    async def owners_of_addresses(self, given: Sequence[GivenProfile]) -> dict[tuple[UUID, str], str]:
        return {
            (item.workspace_id, item.profile.external_id): contact.external_id
            for item in given
            for contact in self._of(item.workspace_id)
            if contact.phone_number == item.profile.phone_number
        }

    async def keep_profiles(self, given: Sequence[GivenProfile]) -> None:
        self.kept_profiles += given
        for item in given:
            profile = item.profile
            known = next((one for one in self._of(item.workspace_id) if one.external_id == profile.external_id), None)
            said = {name: value for name in _SAID if (value := getattr(profile, name)) is not None}
            if known is None:
                (known,) = self.add(1, external_id=profile.external_id, **dict.fromkeys(_SAID))
            attributes = {**known.attributes, **profile.attributes}
            tags = tuple(dict.fromkeys((*known.tags, *profile.tags)))
            self.contacts[known.id] = known._replace(**said, attributes=attributes, tags=tags)

    async def rules_for(self, keys: Collection[EventKey]) -> dict[EventKey, list[TriggerRule]]:
        return {
            key: [rule for rule in self.rules if (rule.workspace_id, rule.event) == key and rule.status == "active"]
            for key in keys
        }

    async def listened_for(self, keys: Collection[EventKey]) -> set[EventKey]:
        rules = {(rule.workspace_id, rule.event) for rule in self.rules if rule.status == "active"}
        return (rules | self.waits.keys()) & set(keys)

    async def waited_for(self, keys: Collection[EventKey]) -> dict[EventKey, set[str]]:
        return {key: self.waits[key] for key in keys if key in self.waits}

    @asynccontextmanager
    async def contact_changes(self) -> AsyncIterator[Any]:
        yield self

    async def segments(self, workspaces: Collection[UUID]) -> list[SegmentFilter]:
        return self.segment_filters

    async def done(self) -> None:
        self.changes.clear()

    async def audience_count(self, workspace_id: UUID, recipients: object) -> int:
        return sum(item.status == "active" for item in self._of(workspace_id))

    async def audience_page(
        self, workspace_id: UUID, recipients: object, after: UUID | None, limit: int
    ) -> list[Contact]:
        behind = [
            item
            for item in sorted(self._of(workspace_id), key=lambda item: item.id)
            if item.status == "active" and (after is None or item.id > after)
        ]
        self.largest_read = max(self.largest_read, len(behind[:limit]))
        return behind[:limit]

    def _of(self, workspace_id: UUID) -> list[Contact]:
        return [item for item in self.contacts.values() if item.workspace_id == workspace_id]


@dataclass
class Publisher:
    """Remembers what was published, in order. `before` is called with each batch and may raise."""

    records: list[OutboundRecord] = field(default_factory=list)
    before: Callable[[Sequence[OutboundRecord]], None] | None = None

    async def publish(self, records: Sequence[OutboundRecord], *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        if self.before is not None:
            self.before(records)
        self.records += records

    async def healthy(self) -> bool:
        return True


Outcome = Callable[[JobsCommanded, int], dict[str, Any]]


def sent(command: JobsCommanded, place: int) -> dict[str, Any]:
    """What a worker makes of a job that nothing speaks against."""
    verdict = command.jobs.verdict[place]
    if verdict is FilterCode.CANCELLED:
        return {"state": JobState.CANCELLED}
    return {"state": JobState.SENT if verdict is None else JobState.FILTERED, "code": verdict and str(verdict)}


def held(code: HoldCode, until: datetime | None) -> Outcome:
    """Return a worker that holds every job that nothing speaks against."""

    def outcome(command: JobsCommanded, place: int) -> dict[str, Any]:
        if command.jobs.verdict[place] is not None:
            return sent(command, place)
        milliseconds = None if until is None else int(until.timestamp() * 1000)
        return {"state": JobState.HELD, "code": str(code), "until": milliseconds}

    return outcome


class World:
    """One or more copies of the orchestrator over one database, with the tests as its caller and its workers."""

    def __init__(self, dsn: str, database: Database, settings: OrchestratorSettings) -> None:
        self.dsn = dsn
        self.database = database
        self.settings = settings
        self.catalogue = Catalogue()
        self.publisher = Publisher()
        self.clock = ManualClock(START)
        self.parts = self.copy()
        self._commands: list[JobsCommanded] = []
        self._read = 0
        self.answered: set[tuple[UUID, int, int]] = set()
        self.final_states: dict[tuple[UUID, int], tuple[int, JobState]] = {}

    def copy(self, **settings: Any) -> Parts:
        """Return another copy of the orchestrator."""
        chosen = self.settings.model_copy(update=settings)
        return Parts.assemble(chosen, self.database, self.catalogue, self.publisher, self.clock)

    def direct(self, **values: Any) -> TriggerAccepted:
        """Return an accepted direct send, by default one SMS to c0."""
        return TriggerAccepted(
            **{
                "trigger_id": uuid4(),
                "workspace_id": WORKSPACE,
                "accepted_at": self.clock.now(),
                "lane": Lane.PRIORITY,
                "category": Category.AUTHENTICATION,
                "plan": DirectSend(channel=Channel.SMS, content=InlineSms(text="Your code is {{code}}")),
                "recipients": ContactRecipients(external_ids=["c0"]),
                "variables": {"code": "1234"},
                **values,
            }
        )

    def broadcast(self, **values: Any) -> TriggerAccepted:
        """Return an accepted direct send to everyone."""
        return self.direct(
            **{"lane": Lane.BULK, "category": Category.MARKETING, "recipients": AllRecipients(), **values}
        )

    def start(self, workflow: WorkflowVersion, **values: Any) -> TriggerAccepted:
        """Return an accepted start of a workflow."""
        return self.direct(
            **{
                "lane": Lane.BULK,
                "category": workflow.category,
                "plan": WorkflowStart(workflow_id=workflow.workflow_id, version=workflow.version, name=workflow.name),
                **values,
            }
        )

    async def deliver(self, *messages: Message, parts: Parts | None = None) -> None:
        """Hand messages to the trigger handler as one batch."""
        await (parts or self.parts).triggers([record(message) for message in messages])

    async def ask(self, trigger: TriggerAccepted, action: str, parts: Parts | None = None, **values: Any) -> None:
        """Ask for a trigger to be cancelled, paused or resumed."""
        request = TriggerActionRequested.model_validate(
            {
                "trigger_id": trigger.trigger_id,
                "workspace_id": trigger.workspace_id,
                "requested_at": self.clock.now(),
                "action": action,
                **values,
            }
        )
        await self.deliver(request, parts=parts)

    async def retry(self, command: JobsCommanded, epoch: int, seqs: list[int], **values: Any) -> None:
        """Ask for jobs of a command's page to be tried again."""
        await self.deliver(
            RetryRequested(
                **{
                    "trigger_id": command.trigger_id,
                    "workspace_id": command.workspace_id,
                    "requested_at": self.clock.now(),
                    "execution_id": command.execution_id,
                    "page": command.page,
                    "epoch": epoch,
                    "seqs": seqs,
                    **values,
                }
            )
        )

    def forget(self) -> None:
        """Act as if nothing had been published so far."""
        self.publisher.records.clear()
        self._commands.clear()
        self._read = 0

    def open_commands(self) -> list[JobsCommanded]:
        """Return the published commands that no worker has answered."""
        return [item for item in self.commands() if _name(item) not in self.answered]

    async def feed(self, parts: Parts | None = None) -> None:
        """Let due stages have turns until none is left that can go on."""
        copy = parts or self.parts
        again = True
        while again:
            again = False
            for lane in Lane:
                for walks in (True, False):
                    again |= bool(await copy.stages.turn(lane, walks=walks))

    async def ring(self, parts: Parts | None = None) -> None:
        """Publish every due command."""
        while await (parts or self.parts).timers.publish_due():
            pass

    async def work(self, outcome: Outcome = sent) -> list[JobsCommanded]:
        """Go on until nothing is due: feed, ring, and answer every command like a worker. Return the commands."""
        done: list[JobsCommanded] = []
        while True:
            seen = len(self.publisher.records)
            await self.feed()
            await self.ring()
            fresh = self.open_commands()
            if not fresh and len(self.publisher.records) == seen:
                return done
            for command in fresh:
                await self.answer(command, outcome)
                done.append(command)

    async def answer(self, command: JobsCommanded, outcome: Outcome = sent, **values: Any) -> JobsReported:
        """Report on a command as its worker would; return the report."""
        report = self.report(command, outcome, **values)
        self.answered.add(_name(command))
        await self.tell(report)
        return report

    def report(self, command: JobsCommanded, outcome: Outcome = sent, **values: Any) -> JobsReported:
        """Return what a worker would report on a command, and remember how each job stands."""
        facts = [outcome(command, place) for place in range(len(command.jobs))]
        length = len(facts)
        columns: dict[str, list[Any]] = {
            name: [fact.get(name) for fact in facts]
            for name in ReportedJobs.model_fields
            if name not in {"seq", "at", "epoch", "attempt"}
        }
        for seq, fact in zip(command.jobs.seq, facts, strict=True):
            state = fact.get("state")
            if state is not None and state.is_final:
                best = max((command.epoch, state), self.final_states.get((command.execution_id, seq), (-1, state)))
                self.final_states[command.execution_id, seq] = best
        return JobsReported(
            **{
                "workspace_id": command.workspace_id,
                "trigger_id": command.trigger_id,
                "execution_id": command.execution_id,
                "channel": command.channel,
                "page": command.page,
                "answers_round": command.round,
                "reported_at": self.clock.now(),
                "jobs": ReportedJobs(
                    seq=list(command.jobs.seq),
                    at=[0] * length,
                    epoch=[command.epoch] * length,
                    attempt=[attempt + 1 for attempt in command.jobs.attempts],
                    **columns,
                ),
                **values,
            }
        )

    async def tell(self, *reports: JobsReported, parts: Parts | None = None) -> None:
        """Hand reports to the delivery handler as one batch."""
        await (parts or self.parts).deliveries([record(report) for report in reports])

    def commands(self, *, distinct: bool = True) -> list[JobsCommanded]:
        """Return the commands published so far; each (execution, page, round) once unless told otherwise."""
        for item in self.publisher.records[self._read :]:
            if item.topic.startswith("commands."):
                self._commands.append(JobsCommanded.decode(item.value))
        self._read = len(self.publisher.records)
        found = list(self._commands)
        if not distinct:
            return found
        return list({(item.execution_id, item.page, item.round): item for item in found}.values())

    def said(self, kind: type[Message] | None = None) -> list[Any]:
        """Return what was said on the topic `executions`."""
        found: list[ExecutionMessage] = [
            decode_execution(item.value) for item in self.publisher.records if item.topic == "executions"
        ]
        return [item for item in found if kind is None or isinstance(item, kind)]

    def decoded(self, item: OutboundRecord) -> Any:
        """Return the message in a record of `commands.*` or `executions`."""
        return decode_execution(item.value) if item.topic == "executions" else JobsCommanded.decode(item.value)

    def control(self) -> list[TriggerControl]:
        """Return what workers were told about triggers."""
        return [TriggerControl.decode(item.value) for item in self.publisher.records if item.topic == "control"]

    def ledger(self, execution_id: UUID) -> dict[str, int]:
        """Return the total of an execution, how many jobs ended in each way, and how many are open."""
        commanded = [item for item in self.said() if item.type == "execution.commanded.v1"]
        last = [item for item in commanded if item.execution_id == execution_id][-1]
        states = Counter(str(state) for (of, _), (_, state) in self.final_states.items() if of == execution_id)
        states["cancelled"] += last.cancelled
        states["total"] = last.total
        opened = last.total - sum(count for state, count in states.items() if state != "total")
        return {**{state: count for state, count in states.items() if count}, "open": opened}

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Look into the orchestrator's tables."""
        async with self.database.connection() as connection:
            return await connection.fetch(query, *arguments)

    async def row(self, query: str, *arguments: Any) -> asyncpg.Record:
        """Look at one row."""
        return (await self.rows(query, *arguments))[0]

    def jump(self, **delta: float) -> None:
        """Move the clock forward."""
        self.clock.advance(timedelta(**delta))

    def cut_power(self, at: int = 1) -> None:
        """Let the publisher fail like a power cut, at the `at`-th batch from now, once."""
        left = at

        def cut(records: Sequence[OutboundRecord]) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.publisher.before = None
                raise PowerCut

        self.publisher.before = cut

    power_cut = PowerCut
    sent = staticmethod(sent)
    held = staticmethod(held)
    replace = staticmethod(replace)


def _name(command: JobsCommanded) -> tuple[UUID, int, int]:
    return (command.execution_id, command.page, command.round)


def record(message: Message) -> Record:
    """Return a message as its consumer gets it."""
    return Record("topic", 0, 0, b"key", message.encode(), {"ce_type": message.TYPE}, 0)


@asynccontextmanager
async def opened_world(dsn: str, **settings: Any) -> AsyncIterator[World]:
    """Migrate the database and open a world over it."""
    await migrate(dsn, "orchestrator", "orchestrator")
    key = base64.b64encode(b"k" * 32).decode()
    chosen = OrchestratorSettings.model_validate({"secret_key": key, **settings})
    database = await Database.open(dsn, "orchestrator", application_name="test", min_size=1, max_size=8, plans="by_key")
    async with database:
        yield World(dsn, database, chosen)


@pytest.fixture
async def world(postgres_dsn: str) -> AsyncIterator[World]:
    """A fresh world in which one step has eight commands under way at most."""
    async with opened_world(postgres_dsn, credit=8, pages_per_turn=2) as opened:
        yield opened
