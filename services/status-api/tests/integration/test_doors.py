"""The read API and the actions, over HTTP and a real database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiohttp import web
from pydantic import BaseModel

from sluice_contracts.identifiers import execution_id_for
from sluice_contracts.messages.content import InlineSms
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.execution import (
    ExecutionCommanded,
    ExecutionStarted,
    PlannedExecution,
    TriggerControlled,
    TriggerPlanned,
)
from sluice_contracts.messages.trigger import (
    ContactRecipients,
    DirectSend,
    RetryRequested,
    TriggerAccepted,
    TriggerActionRequested,
    WorkflowStart,
    decode_trigger,
)
from sluice_contracts.vocabulary import Category, Channel, FlowType, JobState, Lane, MessageState, WorkflowType
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.records import OutboundRecord, Record, outbound
from sluice_runtime.clock import ManualClock
from sluice_runtime.http.application import application, served
from sluice_runtime.http.openapi import openapi_document
from sluice_runtime.http.operations import Operation, add_operations
from sluice_runtime.http.principal import Principal
from sluice_runtime.http.problems import Problem
from sluice_storage.database import Database
from sluice_storage.migrations import migrate
from status_api.adapters.projection import Projection
from status_api.adapters.sandbox_store import SandboxStore
from status_api.adapters.status_store import StatusStore
from status_api.adapters.wait_store import WaitStore
from status_api.app import operations, unavailable
from status_api.handlers import actions
from status_api.handlers.arrivals import LOOK_SECONDS, PATIENCE_SECONDS, Arrivals
from status_api.handlers.projecting import Projector

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
OURS, THEIRS = UUID(int=1), UUID(int=2)
KEYS = {
    "full": Principal(OURS, UUID(int=11), frozenset({"status:read", "events:write", "pii:read"})),
    "masked": Principal(OURS, UUID(int=12), frozenset({"status:read"})),
    "stranger": Principal(THEIRS, UUID(int=13), frozenset({"admin"})),
}
COLUMNS = tuple(ReportedJobs.model_fields)
PATIENCE = 0.8
REMEMBERED = timedelta(days=30)


@dataclass
class Publisher:
    """Keeps what is published; away while `away` is set."""

    records: list[OutboundRecord] = field(default_factory=list)
    away: bool = False

    async def publish(self, records: Sequence[OutboundRecord], *, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        if self.away:
            raise BrokerUnavailableError("away")
        self.records += records

    async def healthy(self) -> bool:
        return not self.away


@dataclass
class Answer:
    status: int
    headers: Any
    body: Any


@dataclass
class Doors:
    """A running read API with the handlers that feed it."""

    base: str
    session: aiohttp.ClientSession
    declared: Sequence[Operation]
    projector: Projector
    publisher: Publisher
    arrivals: Arrivals

    async def call(self, path: str, key: str = "full", method: str = "GET", **options: Any) -> Answer:
        headers = {"X-API-Key": key} | options.pop("headers", {})
        async with self.session.request(method, self.base + path, headers=headers, **options) as response:
            is_json = "json" in response.content_type
            body = await response.json(content_type=None) if is_json else None
            if response.status < 300:
                self._model(path, method, response.status).model_validate(body)
            return Answer(response.status, response.headers, body)

    def _model(self, path: str, method: str, status: int) -> type[BaseModel]:
        """The shape that the OpenAPI document promises for an answer: whatever is answered must have it."""
        place = path.partition("?")[0]
        for operation in self.declared:
            pattern = re.sub(r"\{\w+\}", "[^/]+", operation.path)
            if operation.method == method and re.fullmatch(pattern, place):
                model = operation.answers[status]
                assert model is not None
                return model
        raise AssertionError(f"{method} {path} is declared nowhere")

    async def get(self, path: str, key: str = "full", **options: Any) -> Any:
        answer = await self.call(path, key, **options)
        assert answer.status == 200, (path, answer)
        return answer.body

    async def tell(self, *messages: Any) -> None:
        """Fold messages, each as a record of its topic."""
        for message in messages:
            entry = outbound("", message)
            record = Record("", 0, 0, None, entry.value, {}, 0)
            match message:
                case JobsReported():
                    await self.projector.on_deliveries([record])
                case TriggerAccepted() | RetryRequested():
                    await self.projector.on_triggers([record])
                case _:
                    await self.projector.on_executions([record])


async def authenticate(request: web.Request) -> Principal:
    try:
        return KEYS[request.headers.get("X-API-Key", "")]
    except KeyError:
        raise Problem(401, "Unauthorized", "A valid API key is needed.") from None


@pytest.fixture
async def doors(database: Database, projection: Projection) -> AsyncIterator[Doors]:
    arrivals, publisher = Arrivals(patience=PATIENCE), Publisher()
    app = application(translate=unavailable)
    clock = ManualClock(START)
    declared = operations(
        StatusStore(database), WaitStore(database), SandboxStore(database), arrivals, publisher, clock, REMEMBERED
    )
    add_operations(app, declared, authenticate)
    async with served(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
        projector = Projector(projection, arrivals.announce)
        yield Doors(f"http://127.0.0.1:{port}", session, declared, projector, publisher, arrivals)


def accepted(trigger: UUID, workspace: UUID = OURS, **values: Any) -> TriggerAccepted:
    defaults: dict[str, Any] = {
        "trigger_id": trigger,
        "workspace_id": workspace,
        "accepted_at": START,
        "lane": Lane.PRIORITY,
        "category": Category.TRANSACTIONAL,
        "plan": DirectSend(channel=Channel.SMS, content=InlineSms(text="Hi")),
        "recipients": ContactRecipients(external_ids=["user_1"]),
    }
    return TriggerAccepted(**defaults | values)


def planned(trigger: UUID, total: int) -> list[Any]:
    """A direct SMS, planned, started and commanded in full."""
    execution, about = execution_id_for(trigger, 1, "sms"), {"trigger_id": trigger, "workspace_id": OURS}
    plan = PlannedExecution(
        execution_id=execution,
        step_id="step-1",
        step_order=1,
        step_name="SMS",
        channel=Channel.SMS,
        scheduled_for=START,
    )
    return [
        TriggerPlanned(
            **about, planned_at=START, starts_at=START, flow_type=FlowType.DIRECT_CHANNEL, executions=[plan]
        ),
        ExecutionStarted(**about, execution_id=execution, started_at=START, expected=total),
        ExecutionCommanded(**about, execution_id=execution, at=START, total=total),
    ]


def reported(trigger: UUID, rows: Sequence[dict[str, Any]], answers_round: int | None = 0) -> JobsReported:
    whole = [dict.fromkeys(COLUMNS) | {"at": START_MS, "epoch": 0, "attempt": 1} | row for row in rows]
    return JobsReported(
        workspace_id=OURS,
        trigger_id=trigger,
        execution_id=execution_id_for(trigger, 1, "sms"),
        channel=Channel.SMS,
        page=0,
        answers_round=answers_round,
        reported_at=START,
        jobs=ReportedJobs(**{name: [row[name] for row in whole] for name in COLUMNS}),
    )


def filtered(seq: int) -> dict[str, Any]:
    return {
        "seq": seq,
        "state": JobState.FILTERED,
        "code": "no_template_for_country",
        "detail": "No approved SMS template for country: IN",
        "address": f"+9184894{seq:05d}",
        "external_id": f"user_{seq}",
    }


def sent(seq: int) -> dict[str, Any]:
    return {"seq": seq, "state": JobState.SENT, "address": f"+1415555{seq:04d}", "external_id": f"user_{seq}"}


def failed(seq: int) -> dict[str, Any]:
    return sent(seq) | {"state": JobState.FAILED, "code": "retries_exhausted"}


async def a_finished_trigger(doors: Doors, *rows: dict[str, Any]) -> UUID:
    trigger = uuid4()
    await doors.tell(accepted(trigger), *planned(trigger, len(rows)), reported(trigger, rows))
    return trigger


async def test_the_two_tiers_read_together_as_the_reference_shows(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, filtered(0), sent(1))
    basic = await doors.get(f"/api/v1/triggers/{trigger}")
    assert (basic["flow_type"], basic["status"], basic["summary"]["filtered"]) == ("direct_channel", "completed", 1)
    direct = await doors.get("/api/v1" + basic["details_endpoint"])
    (reason,) = direct["jobs"]["filter_reasons"]
    assert reason["contacts"] == ["+918489400000"]
    page = await doors.get(f"{direct['execution_details_endpoint']}?status=filtered&limit=50")
    (job,) = page["data"]["jobs"]
    assert (job["phone_number"], job["filter_reason"]) == ("+918489400000", reason["reason"])
    execution = await doors.get(direct["execution_details_endpoint"].removesuffix("/jobs"))
    assert execution["execution"] == direct["execution"]


async def test_addresses_are_masked_without_the_scope_to_see_them(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, filtered(0), sent(1))
    execution = execution_id_for(trigger, 1, "sms")
    for path in (
        f"/api/v1/triggers/{trigger}/direct",
        f"/api/v1/triggers/{trigger}/ledger",
        f"/api/v1/triggers/{trigger}/contacts/user_0",
        f"/api/v1/sms/executions/{execution}",
        f"/api/v1/sms/executions/{execution}/jobs",
    ):
        assert "8489400000" in str(await doors.get(path)), path
        assert "8489400000" not in str(await doors.get(path, "masked")), path


async def test_a_body_that_has_not_changed_is_304_until_something_moves(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, sent(0))
    execution = execution_id_for(trigger, 1, "sms")
    paths = [
        f"/api/v1/triggers/{trigger}",
        f"/api/v1/triggers/{trigger}/direct",
        f"/api/v1/triggers/{trigger}/ledger",
        f"/api/v1/triggers/{trigger}/contacts/user_0",
        f"/api/v1/sms/executions/{execution}",
        f"/api/v1/sms/executions/{execution}/jobs",
    ]
    tags = {path: (await doors.call(path)).headers["ETag"] for path in paths}
    for path, tag in tags.items():
        for given in (tag, f'"other", W/{tag}', "*"):
            again = await doors.call(path, headers={"If-None-Match": given})
            assert (again.status, again.headers["ETag"]) == (304, tag), path
        assert (await doors.call(path, "masked", headers={"If-None-Match": tag})).status == 200, (
            "masked is another body"
        )
    await doors.tell(reported(trigger, [{"seq": 0, "message": MessageState.DELIVERED}], None))
    for path, tag in tags.items():
        moved = await doors.call(path, headers={"If-None-Match": tag})
        assert moved.status == 200, path
        assert moved.headers["ETag"] != tag


async def test_lists_are_304_too(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, sent(0))
    for path in ("/api/v1/triggers", "/api/v1/sandbox/messages"):
        tag = (await doors.call(path)).headers["ETag"]
        assert (await doors.call(path, headers={"If-None-Match": tag})).status == 304
    await doors.tell(reported(trigger, [failed(0) | {"epoch": 1}]))
    assert (await doors.call("/api/v1/triggers", "stranger")).body["triggers"] == []


async def test_a_read_right_after_the_accepting_answer_waits_for_the_projection(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors.arrivals, "_patience", 30.0)
    trigger = uuid4()
    reading = asyncio.create_task(doors.get(f"/api/v1/triggers/{trigger}"))
    await asyncio.sleep(PATIENCE / 10)
    assert not reading.done()
    await doors.tell(accepted(trigger))
    async with asyncio.timeout(20):
        assert (await reading)["status"] == "pending"


async def test_what_is_not_there_is_404_after_the_wait(doors: Doors) -> None:
    for path in (f"/api/v1/triggers/{uuid4()}", f"/api/v1/sms/executions/{uuid4()}/jobs"):
        before = monotonic()
        answer = await doors.call(path)
        assert answer.status == 404
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert monotonic() - before >= PATIENCE


async def test_the_default_patience_is_two_seconds_of_looking_often() -> None:
    async def find() -> None:
        return None

    before = monotonic()
    await Arrivals().wait_for("id", find)
    assert monotonic() - before >= PATIENCE_SECONDS == 2
    assert LOOK_SECONDS <= 0.1


async def test_another_workspaces_trigger_is_as_little_there_as_none(doors: Doors) -> None:
    """Neither the answer nor how long it takes tells that the trigger exists."""
    trigger = await a_finished_trigger(doors, filtered(0))

    async def answers(trigger: UUID) -> list[tuple[str, int, bool]]:
        execution, found = execution_id_for(trigger, 1, "sms"), []
        for method, path in (
            *(("GET", f"/api/v1/triggers/{trigger}{end}") for end in ("", "/direct", "/ledger", "/contacts/user_0")),
            *(("POST", f"/api/v1/triggers/{trigger}/{action}") for action in ("cancel", "pause", "resume", "retry")),
            ("GET", f"/api/v1/sms/executions/{execution}"),
            ("GET", f"/api/v1/sms/executions/{execution}/jobs"),
        ):
            before = monotonic()
            answer = await doors.call(path, "stranger", method)
            found.append((str(answer.body), answer.status, monotonic() - before >= PATIENCE))
        return found

    theirs = await answers(trigger)
    assert {status for _, status, _ in theirs} == {404}
    assert theirs == await answers(uuid4())
    assert (await doors.get("/api/v1/triggers", "stranger"))["triggers"] == []
    assert not doors.publisher.records


async def test_the_wrong_details_endpoint_names_the_right_one(doors: Doors) -> None:
    direct = await a_finished_trigger(doors, sent(0))
    answer = await doors.call(f"/api/v1/triggers/{direct}/workflow")
    assert answer.status == 409
    assert f"/triggers/{direct}/direct" in answer.body["detail"]
    run = uuid4()
    await doors.tell(accepted(run, plan=WorkflowStart(workflow_id=uuid4(), version=1, name="Welcome")))
    answer = await doors.call(f"/api/v1/triggers/{run}/direct")
    assert (answer.status, answer.body["details_endpoint"]) == (409, f"/triggers/{run}/workflow")
    assert (await doors.get(f"/api/v1/triggers/{run}/workflow"))["workflow"]["name"] == "Welcome"


async def test_an_execution_is_found_only_under_its_own_channel(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, sent(0))
    answer = await doors.call(f"/api/v1/whatsapp/executions/{execution_id_for(trigger, 1, 'sms')}/jobs")
    assert answer.status == 404


async def test_every_job_is_listed_once_whatever_the_size_of_a_page(doors: Doors) -> None:
    kinds: list[Callable[[int], dict[str, Any]]] = [sent, filtered, failed]
    trigger = await a_finished_trigger(doors, *(kinds[seq % 3](seq) for seq in range(20)))
    execution = execution_id_for(trigger, 1, "sms")
    for status, expected in ((None, range(20)), ("sent", range(0, 20, 3)), ("failed", range(2, 20, 3))):
        seen, cursor = [], ""
        while cursor is not None:
            query = "?limit=3" + (f"&status={status}" if status else "") + (f"&cursor={cursor}" if cursor else "")
            page = await doors.get(f"/api/v1/sms/executions/{execution}/jobs{query}")
            seen += [int(job["external_id"].removeprefix("user_")) for job in page["data"]["jobs"]]
            assert page["pagination"]["limit"] == 3
            cursor = page["pagination"]["next_cursor"]
            assert page["pagination"]["has_more"] is (cursor is not None)
        assert seen == list(expected), status


async def test_jobs_are_found_by_what_became_of_their_messages(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, sent(0), sent(1))
    await doors.tell(reported(trigger, [{"seq": 1, "message": MessageState.UNDELIVERED, "code": "30003"}], None))
    page = await doors.get(f"/api/v1/sms/executions/{execution_id_for(trigger, 1, 'sms')}/jobs?status=undelivered")
    (job,) = page["data"]["jobs"]
    assert (job["status"], job["message_status"], job["message_code"]) == ("sent", "undelivered", "30003")


async def test_triggers_are_listed_from_the_newest_and_by_their_derived_status(doors: Doors) -> None:
    triggers = [uuid4() for _ in range(7)]
    for place, trigger in enumerate(triggers):
        await doors.tell(accepted(trigger, accepted_at=START + timedelta(seconds=place)))
        if place % 2:
            await doors.tell(*planned(trigger, 1), reported(trigger, [sent(0)]))

    async def listed(query: str) -> list[str]:
        seen, cursor = [], ""
        while cursor is not None:
            page = await doors.get(f"/api/v1/triggers?limit=2{query}" + (f"&cursor={cursor}" if cursor else ""))
            assert len(page["triggers"]) <= 2
            seen += [trigger["id"] for trigger in page["triggers"]]
            cursor = page["pagination"]["next_cursor"]
        return seen

    newest_first = [str(trigger) for trigger in reversed(triggers)]
    assert await listed("") == newest_first
    assert await listed("&status=pending") == newest_first[::2]
    assert await listed("&status=completed") == newest_first[1::2]
    assert await listed("&status=cancelled") == []
    assert await listed("&from=2026-01-01T00:00:02Z&to=2026-01-01T00:00:04Z") == newest_first[3:5]
    assert await listed("&flow_type=workflow") == []
    assert await listed("&channel=sms&flow_type=direct_channel") == newest_first
    assert await listed("&channel=email") == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=201", "limit=x", "cursor=%F0%9F%92%A9", "cursor=e30", "status=nonsense", "surprise=1",
        "from=yesterday", "from=0001-01-01T00:00:00%2B14:00", "to=2026-01-01", "channel=pigeon", "cursor=WzEsMl0",
    ],
)  # fmt: skip
async def test_bad_queries_are_422_and_name_the_field(doors: Doors, query: str) -> None:
    answer = await doors.call(f"/api/v1/triggers?{query}")
    assert answer.status == 422, answer
    assert answer.body["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize("thing", ["%00", "..%2f", "' or 1=1 --", "9" * 300, "null", "%F0%9F%92%A9"])
async def test_ids_that_are_none_are_refused(doors: Doors, thing: str) -> None:
    for path in (f"triggers/{thing}", f"triggers/{thing}/direct", f"sms/executions/{thing}/jobs"):
        assert (await doors.call(f"/api/v1/{path}")).status in {404, 422}, path
    trigger = await a_finished_trigger(doors, sent(0))
    assert (await doors.call(f"/api/v1/triggers/{trigger}/contacts/{thing}")).status in {404, 422}


async def test_an_oversized_number_in_a_cursor_is_refused(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, sent(0))
    path = f"/api/v1/sms/executions/{execution_id_for(trigger, 1, 'sms')}/jobs"
    assert (await doors.call(f"{path}?cursor=OTk5OTk5OTk5OTk5OTk5")).status == 422
    assert (await doors.call("/api/v1/sandbox/messages?cursor=eyJzbXMiOiA5OTk5OTk5OTk5OTk5OTk5OTk5OTl9")).status == 422


async def test_a_contacts_timeline_shows_gates_attempts_and_receipts(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, sent(0), filtered(1))
    await doors.tell(reported(trigger, [{"seq": 0, "message": MessageState.DELIVERED, "at": START_MS + 2_000}], None))
    body = await doors.get(f"/api/v1/triggers/{trigger}/contacts/user_0")
    (job,) = body["jobs"]
    assert [event["event"] for event in job["timeline"]] == ["sent", "delivered"]
    assert {gate["result"] for gate in job["gates"]} == {"passed", "not_applicable"}
    (job,) = (await doors.get(f"/api/v1/triggers/{trigger}/contacts/user_1"))["jobs"]
    assert job["gates"][-1] == {
        "gate": "no_template_for_country",
        "result": "failed",
        "reason": "No approved template for the contact's country",
    }
    assert (await doors.call(f"/api/v1/triggers/{trigger}/contacts/nobody")).status == 404


async def test_an_action_is_asked_for_once_and_refused_when_all_is_over(doors: Doors) -> None:
    trigger = uuid4()
    await doors.tell(accepted(trigger), *planned(trigger, 1))
    for action in ("pause", "resume", "cancel"):
        answer = await doors.call(f"/api/v1/triggers/{trigger}/{action}", method="POST")
        assert answer.status == 202
        assert answer.body == {"success": True, "trigger_id": str(trigger), "action": action}
    requests = [decode_trigger(record.value) for record in doors.publisher.records]
    assert [request.action for request in requests if isinstance(request, TriggerActionRequested)] == [
        "pause",
        "resume",
        "cancel",
    ]
    assert {(record.topic, record.key) for record in doors.publisher.records} == {
        ("triggers.priority", str(trigger).encode())
    }
    await doors.tell(reported(trigger, [sent(0)]))
    answer = await doors.call(f"/api/v1/triggers/{trigger}/cancel", method="POST")
    assert answer.status == 409
    assert len(doors.publisher.records) == 3


async def test_what_is_over_and_still_paused_can_be_resumed_for_the_sake_of_a_retry(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, failed(0))
    assert (await doors.call(f"/api/v1/triggers/{trigger}/resume", method="POST")).status == 409
    await doors.tell(TriggerControlled(trigger_id=trigger, workspace_id=OURS, at=START, change="paused"))
    assert (await doors.call(f"/api/v1/triggers/{trigger}/pause", method="POST")).status == 409
    assert (await doors.call(f"/api/v1/triggers/{trigger}/resume", method="POST")).status == 202


async def test_actions_need_the_scope_to_write(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, failed(0))
    assert (await doors.call(f"/api/v1/triggers/{trigger}/retry", "masked", "POST")).status == 403
    assert (await doors.call(f"/api/v1/triggers/{trigger}", "nobody")).status == 401


async def test_a_retry_names_every_failed_job_once_in_its_next_epoch(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "PORTION", 3)
    trigger = uuid4()
    seqs = [0, 1, 199, 200, 201, 202, 203, 204, 401]
    await doors.tell(
        accepted(trigger),
        *planned(trigger, len(seqs) + 1),
        reported(trigger, [*(failed(seq) for seq in seqs), sent(5)]),
    )
    answer = await doors.call(f"/api/v1/triggers/{trigger}/retry", method="POST")
    assert (answer.status, answer.body["jobs"]) == (202, len(seqs))
    requests = [decode_trigger(record.value) for record in doors.publisher.records]
    asked = [(each.page, each.epoch, each.seqs) for each in requests if isinstance(each, RetryRequested)]
    assert asked == [(0, 1, [0, 1, 199]), (1, 1, [200, 201, 202]), (1, 1, [203, 204]), (2, 1, [401])]
    await doors.tell(reported(trigger, [sent(seq) | {"epoch": 1} for seq in seqs[:-1]]))
    await doors.tell(reported(trigger, [failed(401) | {"epoch": 1}, failed(402)]))
    doors.publisher.records.clear()
    await doors.call(f"/api/v1/triggers/{trigger}/retry", method="POST")
    again = [decode_trigger(record.value) for record in doors.publisher.records]
    assert [(each.epoch, each.seqs) for each in again if isinstance(each, RetryRequested)] == [(2, [401]), (1, [402])]


async def test_what_is_tried_again_is_open_from_the_request_on_until_its_end_is_heard(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, failed(0), sent(1))
    path = f"/api/v1/triggers/{trigger}"
    assert (await doors.call(f"{path}/retry", method="POST")).status == 202
    (request,) = [decode_trigger(record.value) for record in doors.publisher.records]
    await doors.tell(request)
    ledger = await doors.get(f"{path}/ledger")
    assert (ledger["sent"], ledger["failed"], ledger["held"], ledger["unaccounted"]) == (1, 0, 1, 0)
    assert (await doors.get(path))["status"] == "processing"
    page = await doors.get(f"/api/v1/sms/executions/{execution_id_for(trigger, 1, 'sms')}/jobs")
    (job,) = [job for job in page["data"]["jobs"] if job["status"] == "held"]
    assert (job["hold_code"], job["hold_reason"], job["retries"]) == ("retry", "Somebody asked for another try", 1)
    assert job["failure_code"] is None
    again = await doors.call(f"{path}/retry", method="POST")
    assert (again.status, again.body["title"]) == (409, "Nothing failed")
    assert (await doors.call(f"{path}/cancel", method="POST")).status == 202
    await doors.tell(reported(trigger, [sent(0) | {"epoch": 1}]))
    ledger = await doors.get(f"{path}/ledger")
    assert (ledger["sent"], ledger["held"], ledger["open"]) == (2, 0, 0)
    assert (await doors.get(path))["status"] == "completed"


async def test_what_nobody_remembers_is_not_tried_again(doors: Doors) -> None:
    trigger = uuid4()
    await doors.tell(
        accepted(trigger, accepted_at=START - REMEMBERED), *planned(trigger, 1), reported(trigger, [failed(0)])
    )
    answer = await doors.call(f"/api/v1/triggers/{trigger}/retry", method="POST")
    assert (answer.status, answer.body["title"]) == (409, "Too old")
    assert not doors.publisher.records


async def test_there_is_nothing_to_retry_where_nothing_failed_or_all_was_cancelled(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, sent(0))
    assert (await doors.call(f"/api/v1/triggers/{trigger}/retry", method="POST")).status == 409
    cancelled = await a_finished_trigger(doors, failed(0))
    await doors.tell(TriggerControlled(trigger_id=cancelled, workspace_id=OURS, at=START, change="cancelled"))
    assert (await doors.call(f"/api/v1/triggers/{cancelled}/retry", method="POST")).status == 409
    assert not doors.publisher.records


async def test_a_broker_that_is_away_is_a_503(doors: Doors) -> None:
    trigger = await a_finished_trigger(doors, failed(0))
    doors.publisher.away = True
    answer = await doors.call(f"/api/v1/triggers/{trigger}/retry", method="POST")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_database_that_is_away_is_a_503_at_once() -> None:
    async with await Database.open(
        "postgresql://nobody@127.0.0.1:1/none", "status", application_name="test", min_size=0
    ) as nowhere:
        app = application(translate=unavailable)
        declared = operations(
            StatusStore(nowhere),
            WaitStore(nowhere),
            SandboxStore(nowhere),
            Arrivals(),
            Publisher(),
            ManualClock(START),
            REMEMBERED,
        )
        add_operations(app, declared, authenticate)
        async with served(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
            for path in (f"triggers/{uuid4()}", "triggers", "sandbox/messages", f"sms/executions/{uuid4()}"):
                before = monotonic()
                url = f"http://127.0.0.1:{port}/api/v1/{path}"
                async with session.get(url, headers={"X-API-Key": "full"}) as response:
                    assert response.status == 503, path
                    assert int(response.headers["Retry-After"]) > 0
                assert monotonic() - before < 10


async def sandbox_got(database: Database, channel: Channel, **values: Any) -> None:
    """Put a message where the channel's sandbox keeps what it got."""
    call = [uuid4(), uuid4(), *(values.pop(name) for name in ("workspace_id", "trigger_id", "at"))]
    row = {"place": 0, "reference": "", "attempt": 1, "text": "Hi", **values}
    names, places = ", ".join(row), ", ".join(f"${place}" for place in range(6, len(row) + 6))
    async with database.connection() as connection:
        await connection.execute(
            f"WITH call AS (INSERT INTO channel_{channel}.sandbox_calls"  # noqa: S608
            " (token, account_id, workspace_id, trigger_id, at) VALUES ($1, $2, $3, $4, $5) RETURNING id) "
            f"INSERT INTO channel_{channel}.sandbox_messages (call_id, {names}) SELECT id, {places} FROM call",
            *call,
            *row.values(),
        )


async def test_the_sandbox_shows_what_each_channel_got_the_newest_first(
    doors: Doors, database: Database, status_dsn: str
) -> None:
    assert (await doors.get("/api/v1/sandbox/messages"))["messages"] == [], "no channel has its tables yet"
    trigger = uuid4()
    for channel in (Channel.SMS, Channel.EMAIL):
        await migrate(status_dsn, f"channel_{channel}", "sluice_channel")
        for place in range(5):
            is_email = channel is Channel.EMAIL
            await sandbox_got(
                database,
                channel,
                workspace_id=OURS if place else THEIRS,
                trigger_id=trigger,
                job_id=f"job-{place}",
                accepted=place != 4,
                address=f"p{place}@sandbox.test" if is_email else f"+1500555000{place}",
                at=START + timedelta(seconds=place * 2 + is_email),
            )
    seen, cursor = [], ""
    while cursor is not None:
        page = await doors.get("/api/v1/sandbox/messages?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += [(message["channel"], message["job_id"]) for message in page["messages"]]
        cursor = page["pagination"]["next_cursor"]
    assert seen == [(channel, f"job-{place}") for place in (3, 2, 1) for channel in ("email", "sms")]
    (message,) = (await doors.get("/api/v1/sandbox/messages?to=+15005550002"))["messages"]
    assert (message["to"], message["trigger_id"], message["headers"]) == ("+15005550002", str(trigger), {})
    (message,) = (await doors.get("/api/v1/sandbox/messages?channel=email&to=P1@sandbox.test"))["messages"]
    assert message["text"] == "Hi"
    assert (await doors.get(f"/api/v1/sandbox/messages?trigger_id={uuid4()}"))["messages"] == []


async def test_pages_of_the_sandbox_lose_nothing_where_ids_and_times_disagree(
    doors: Doors, database: Database, status_dsn: str
) -> None:
    await migrate(status_dsn, "channel_sms", "sluice_channel")
    trigger = uuid4()
    for place in range(8):
        await sandbox_got(
            database,
            Channel.SMS,
            workspace_id=OURS,
            trigger_id=trigger,
            job_id=f"job-{place}",
            accepted=True,
            address="+15005550000",
            # Of two calls at the same time the one that began later may be written down first.
            at=START + timedelta(milliseconds=place ^ 1),
        )
    seen, cursor = [], ""
    while cursor is not None:
        path = f"/api/v1/sandbox/messages?trigger_id={trigger}&limit=3"
        page = await doors.get(path + (f"&cursor={cursor}" if cursor else ""))
        seen += [message["job_id"] for message in page["messages"]]
        cursor = page["pagination"]["next_cursor"]
    assert sorted(seen) == [f"job-{place}" for place in range(8)]


async def test_the_openapi_document_knows_every_operation(doors: Doors) -> None:
    document = openapi_document(doors.declared, title="Sluice", version="1")
    assert len(document["paths"]) == 17
    assert {"TriggerBody", "DirectBody", "WorkflowBody", "JobPage"} <= document["components"]["schemas"].keys()


async def test_a_workflows_bodies_have_their_declared_shapes(doors: Doors) -> None:
    """The steps of a run of which one has started, and the ledger of both."""
    trigger, plan = uuid4(), WorkflowStart(workflow_id=uuid4(), version=1, name="Welcome")
    executions = [
        PlannedExecution(
            execution_id=execution_id_for(trigger, order, channel),
            step_id=f"step-{order}",
            step_order=order,
            step_name=f"Step {order}",
            channel=channel,
            delay_minutes=(order - 1) * 1440,
            scheduled_for=START + timedelta(days=order - 1),
        )
        for order, channel in ((1, Channel.SMS), (2, Channel.EMAIL))
    ]
    about: dict[str, Any] = {"trigger_id": trigger, "workspace_id": OURS}
    await doors.tell(
        accepted(trigger, plan=plan),
        TriggerPlanned(
            **about,
            planned_at=START,
            starts_at=START,
            flow_type=FlowType.WORKFLOW,
            workflow_type=WorkflowType.STEPS,
            workflow_id=plan.workflow_id,
            workflow_name=plan.name,
            workflow_execution_id=uuid4(),
            executions=executions,
        ),
        *planned(trigger, 2)[1:],
        reported(trigger, [sent(0), failed(1)]),
    )
    body = await doors.get(f"/api/v1/triggers/{trigger}/workflow")
    assert [step["status"] for step in body["steps"]] == ["completed", "scheduled"]
    assert body["steps"][1]["scheduled_for"] == "2026-01-02T00:00:00.000Z"
    ledger = await doors.get(f"/api/v1/triggers/{trigger}/ledger")
    assert (ledger["total"], ledger["sent"], ledger["failed"], ledger["open"], ledger["unaccounted"]) == (2, 1, 1, 0, 0)
    assert ledger["executions"][0]["failure_reasons"][0]["code"] == "retries_exhausted"
