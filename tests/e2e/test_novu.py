"""Novu's door on the whole stack: from a request in Novu's words to what somebody gets, and what can be read of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from api_client import wait_until
from novu_place import NovuPlace, phone, wait_for
from sluice_local.stack import Stack

pytestmark = pytest.mark.e2e

HOURS_LATER = {"name": "Wait", "type": "delay", "controlValues": {"type": "regular", "amount": 5, "unit": "hours"}}


@pytest.fixture(scope="module")
def place(stack: Stack) -> NovuPlace:
    place = NovuPlace(stack)
    place.text_workflow("hello", "Hi {{subscriber.firstName | default: 'you'}} {{payload.n}}")
    text = {"name": "Text", "type": "sms", "controlValues": {"body": "x"}}
    place.workflow("much-later", [HOURS_LATER, text])
    return place


def person(place: NovuPlace, **fields: Any) -> tuple[str, str]:
    """Make a subscriber with a number of their own; return both."""
    number = phone()
    name = f"e{number.lstrip('+')}"
    place.subscriber(name, phone=number, **fields)
    return name, number


def test_an_event_makes_its_subscriber_and_renders_everything_that_it_says(place: NovuPlace) -> None:
    body = (
        "{{subscriber.firstName}} ({{subscriber.data.plan}}) gets {{payload.items[0].name}} of {{tenant.name}} "
        "{{tenant.data.city}} from {{actor.firstName}} in {{context.org.id}}"
    )
    place.text_workflow("everything", body)
    place.subscriber("boss", firstName="Grace")
    number = phone()
    answer = place.trigger(
        "everything",
        {"subscriberId": f"new{number}", "phone": number, "firstName": "Ada", "data": {"plan": "pro"}},
        payload={"items": [{"name": "tea"}], "contact": {"name": "not the reader"}},
        tenant={"identifier": "acme", "name": "Acme", "data": {"city": "Rome"}},
        actor="boss",
        context={"org": "org-7"},
    )

    assert answer["status"] == "processed"
    assert place.sent_to(number)[0]["text"] == "Ada (pro) gets tea of Acme Rome from Grace in org-7"
    assert place.data("GET", f"/v2/subscribers/new{number}")["data"] == {"plan": "pro"}
    assert place.data("GET", "/v1/tenants/acme")["name"] == "Acme", "a tenant that an event describes is kept"


def test_an_email_is_rendered_and_sent_as_overrides_say(place: NovuPlace) -> None:
    controls = {"subject": "Order {{payload.n}}", "body": "<p>Dear {{subscriber.firstName}} & {{payload.who}}</p>"}
    place.workflow("letter", [{"name": "Mail", "type": "email", "controlValues": controls}])
    address = f"{uuid4().hex[:8]}@example.com"
    place.trigger(
        "letter",
        {"subscriberId": address, "email": address, "firstName": "Ada"},
        payload={"n": 7, "who": "<Bob>"},
        overrides={"email": {"from": "Shop <shop@example.com>", "replyTo": "help@example.com"}},
    )

    (message,) = place.sent_to(address, channel="email")
    assert message["subject"] == "Order 7"
    assert "Dear Ada & &lt;Bob&gt;" in message["html"]
    assert "shop@example.com" in message["from"]


def test_a_bulk_keeps_its_order_and_a_bad_event_fails_alone(place: NovuPlace) -> None:
    name, number = person(place)
    events: list[Any] = [
        {"name": "hello", "to": name, "payload": {"n": 1}, "transactionId": f"a-{number}"},
        {"name": "nothing", "to": name, "transactionId": f"b-{number}"},
        {"to": name},
        {"name": "hello", "to": name, "payload": {"x": "y" * 530_000}},
        "not an event",
        {"name": "hello", "to": name, "payload": {"n": 2}, "transactionId": f"c-{number}"},
    ]
    results = place.data("POST", "/v1/events/trigger/bulk", {"events": events}, 201)

    assert [result["status"] for result in results] == ["processed", "error", "error", "error", "error", "processed"]
    assert results[1]["error"] == ["workflow_not_found"]
    assert results[1]["transactionId"] == f"b-{number}"
    assert results[3]["error"][0].startswith('Event at index 3 (workflow: "hello") has payload size (')
    assert {message["text"] for message in place.sent_to(number, 2)} == {"Hi you 1", "Hi you 2"}


@pytest.mark.parametrize(("count", "said"), [(0, "events should not be empty"), (101, "no more than 100 elements")])
def test_a_bulk_holds_from_one_to_a_hundred_events(place: NovuPlace, count: int, said: str) -> None:
    answer = place.call("POST", "/v1/events/trigger/bulk", {"events": [{"name": "hello", "to": "x"}] * count})

    assert answer.status_code == 422
    assert said in answer.json()["errors"]["events"]["messages"][0]


def test_a_broadcast_reaches_every_subscriber(stack: Stack) -> None:
    place = NovuPlace(stack)
    place.text_workflow("news", "News {{payload.n}}")
    numbers = [person(place)[1] for _ in range(3)]
    body = {"name": "news", "payload": {"n": 1}, "transactionId": "news-1"}
    answer = place.data("POST", "/v1/events/trigger/broadcast", body, 201)

    assert answer["status"] == "processed"
    for number in numbers:
        assert place.sent_to(number)[0]["text"] == "News 1"


def test_a_cancelled_transaction_sends_nothing_more(place: NovuPlace) -> None:
    first = {"name": "First", "type": "sms", "controlValues": {"body": "now"}}
    then = {"name": "Then", "type": "sms", "controlValues": {"body": "later"}}
    place.workflow("now-and-later", [first, HOURS_LATER, then])
    name, number = person(place)
    place.trigger("now-and-later", name, transactionId=f"c-{number}")
    # What a worker has handed over and not reported yet is shown as canceled until it is.
    place.begun(f"c-{number}")

    assert place.data("DELETE", f"/v1/events/trigger/c-{number}") is True
    (activity,) = place.settled(f"c-{number}")
    assert [job["status"] for job in activity["jobs"]] == ["completed", "canceled"]
    assert place.data("DELETE", f"/v1/events/trigger/c-{number}") is False
    assert place.data("DELETE", "/v1/events/trigger/nobody-knows-it") is False


def test_subscribers_and_topics_in_one_event_reach_everybody_once_but_those_left_out(place: NovuPlace) -> None:
    people = [person(place) for _ in range(4)]
    names = [name for name, _ in people]
    place.data("POST", "/v2/topics", {"key": "eng", "name": "Engineers"}, 201)
    place.data("POST", "/v2/topics", {"key": "ops"}, 201)
    for key in ("eng", "ops"):
        answer = place.call("POST", f"/v2/topics/{key}/subscriptions", {"subscriptions": names[:3]})
        assert answer.json()["meta"] == {"totalCount": 3, "successful": 3, "failed": 0}
    recipients = [
        names[3],
        names[0],
        {"type": "Topic", "topicKey": "eng", "exclude": [names[1]]},
        {"type": "Topic", "topicKey": "ops"},
    ]
    transaction_id = place.trigger("hello", recipients, payload={"n": 9})["transactionId"]

    for _, number in (people[0], people[2], people[3]):
        assert place.sent_to(number)[0]["text"] == "Hi you 9"
    activities = {item["subscriber"]["subscriberId"]: item for item in place.settled(transaction_id)}
    assert {name: activity["jobs"][0]["status"] for name, activity in activities.items()} == {
        names[0]: "completed",
        names[1]: "skipped",
        names[2]: "completed",
        names[3]: "completed",
    }
    assert all(len(place.sent_to(number)) == 1 for _, number in (people[0], people[2], people[3]))


def test_a_transaction_is_carried_out_once_however_it_is_repeated(place: NovuPlace) -> None:
    name, number = person(place)
    transaction_id = f"once-{number}"

    def call(turn: int) -> int:
        body = {"name": "hello", "to": name, "payload": {"n": turn}, "transactionId": transaction_id}
        return place.call("POST", "/v1/events/trigger", body, Idempotency_Key=f"{number}-{turn}").status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(call, range(8))) == {201}
    twice = [{"name": "hello", "to": name, "payload": {"n": 1}, "transactionId": transaction_id}] * 2
    results = place.data("POST", "/v1/events/trigger/bulk", {"events": twice}, 201)
    assert [result["status"] for result in results] == ["processed"] * 2
    place.settled(transaction_id)
    after, other = person(place)
    place.trigger("hello", after, payload={"n": 0})
    place.sent_to(other)

    assert len(place.sent_to(number)) == 1


async def test_a_transaction_that_we_have_forgotten_is_still_carried_out_once(place: NovuPlace, stack: Stack) -> None:
    """Forgotten as time does it: its row is made older than any is kept, and housekeeping finds it."""
    name, number = person(place)
    transaction_id = f"forgotten-{number}"
    place.trigger("hello", name, payload={"n": 1}, transactionId=transaction_id)
    place.settled(transaction_id)
    database = await asyncpg.connect(stack.connections.postgres)
    try:
        trigger_id = await database.fetchval(
            "UPDATE orchestrator.triggers SET planned_at = planned_at - interval '40 days' "
            "WHERE convert_from(accepted, 'UTF8') LIKE '%' || $1 || '%' RETURNING trigger_id",
            transaction_id,
        )
        over = (
            "SELECT NOT EXISTS (SELECT FROM orchestrator.stages WHERE trigger_id = $1) "
            "AND NOT EXISTS (SELECT FROM orchestrator.commands JOIN orchestrator.executions AS execution "
            "USING (execution_id) WHERE execution.trigger_id = $1)"
        )
        # Status may have read of the end before the orchestrator did, and housekeeping looks when a process starts.
        await wait_until(lambda: database.fetchval(over, trigger_id))
        stack.restart("orchestrator")
        noted = "SELECT EXISTS (SELECT FROM orchestrator.spent_triggers WHERE trigger_id = $1)"
        await wait_until(lambda: database.fetchval(noted, trigger_id))
        await database.execute(
            "UPDATE orchestrator.spent_triggers SET noted_at = noted_at - interval '1 hour' WHERE trigger_id = $1",
            trigger_id,
        )
        stack.restart("orchestrator")
        gone = "SELECT NOT EXISTS (SELECT FROM orchestrator.triggers WHERE trigger_id = $1)"
        await wait_until(lambda: database.fetchval(gone, trigger_id))
        again = place.trigger("hello", name, payload={"n": 2}, transactionId=transaction_id)
        after, other = person(place)
        place.trigger("hello", after, payload={"n": 0})
        place.sent_to(other)
        assert (again["status"], again["transactionId"]) == ("processed", transaction_id)
        assert [message["text"] for message in place.sent_to(number)] == ["Hi you 1"]
        assert await database.fetchval(gone, trigger_id)
    finally:
        await database.close()


def test_tenants_are_defined_and_an_unknown_one_stops_an_event(place: NovuPlace) -> None:
    identifier = f"t-{uuid4().hex[:6]}"
    place.data("POST", "/v1/tenants", {"identifier": identifier, "name": "T", "data": {"k": 1}}, 201)
    assert place.call("POST", "/v1/tenants", {"identifier": identifier, "name": "T"}).status_code == 409
    assert place.trigger("hello", "x", tenant=identifier)["status"] == "processed"
    assert place.data("PATCH", f"/v1/tenants/{identifier}", {"name": "Other"})["name"] == "Other"
    listed = place.call("GET", "/v1/tenants?limit=100").json()
    assert identifier in [tenant["identifier"] for tenant in listed["data"]]
    assert place.call("DELETE", f"/v1/tenants/{identifier}").status_code == 204
    assert place.trigger("hello", "x", tenant=identifier)["status"] == "no_tenant_found"


def test_workflows_wait_and_decide_as_their_steps_say(place: NovuPlace) -> None:
    rule = {"==": [{"var": "payload.wanted"}, True]}
    place.workflow("maybe", [{"name": "Text", "type": "sms", "controlValues": {"body": "yes", "skip": rule}}])
    wanted, unwanted = person(place), person(place)
    place.trigger("maybe", wanted[0], payload={"wanted": True})
    refused = place.trigger("maybe", unwanted[0], payload={"wanted": False})["transactionId"]

    assert place.sent_to(wanted[1])[0]["text"] == "yes"
    (activity,) = place.settled(refused)
    assert activity["jobs"][0]["status"] == "skipped"
    assert activity["jobs"][0]["executionDetails"][-1]["status"] == "Warning"


def test_steps_without_a_channel_are_kept_and_say_that_nobody_carries_them_out(place: NovuPlace) -> None:
    bell = {"name": "Bell", "type": "in_app", "controlValues": {"body": "x"}}
    made = place.workflow("only-a-bell", [bell])
    empty = place.workflow("nothing-at-all", [])

    assert made["status"] == "ERROR"
    assert made["steps"][0]["issues"]["integration"]["in_app"][0]["issueType"] == "MISSING_INTEGRATION"
    assert place.trigger("only-a-bell", "x")["status"] == "no_workflow_active_steps_defined"
    assert empty["steps"] == []
    assert place.trigger("nothing-at-all", "x")["status"] == "no_workflow_steps_defined"
    text = {"name": "Text", "type": "sms", "controlValues": {"body": "now there is one"}}
    place.data("PUT", "/v2/workflows/only-a-bell", {"name": "Bell", "steps": [bell, text], "preferences": {}})
    name, number = person(place)
    place.trigger("only-a-bell", name)
    assert place.sent_to(number)[0]["text"] == "now there is one"


def test_a_template_of_the_first_version_becomes_a_workflow_that_sends(place: NovuPlace) -> None:
    (general, *_) = place.data("GET", "/v1/notification-groups")
    title = f"Order {uuid4().hex[:6]}"
    step = {"template": {"type": "sms", "content": "Hello {{name}}, {{subscriber.firstName}}"}, "active": True}
    body = {"name": title, "notificationGroupId": general["_id"], "active": True, "steps": [step]}
    made = place.data("POST", "/v1/notification-templates", body, 201)
    name, number = person(place, firstName="Ada")
    place.trigger(made["triggers"][0]["identifier"], name, payload={"name": "Grace"})

    assert place.sent_to(number)[0]["text"] == "Hello Grace, Ada"
    assert made["notificationGroup"]["name"] == "General"
    assert title in [one["name"] for one in place.call("GET", "/v1/notification-templates?limit=100").json()["data"]]
    place.data("DELETE", f"/v1/notification-templates/{made['_id']}")
    assert place.call("GET", f"/v1/notification-templates/{made['_id']}").status_code == 404


def test_messages_and_the_feed_say_what_became_of_a_failure(place: NovuPlace) -> None:
    name = f"bad-{uuid4().hex[:6]}"
    place.subscriber(name, phone="+15005550002")
    transaction_id = place.trigger("hello", name, payload={"n": 1})["transactionId"]
    (activity,) = place.settled(transaction_id)
    assert activity["_subscriberId"] == place.data("GET", f"/v2/subscribers/{name}")["_id"]

    def failed() -> bool:
        (message,) = place.call("GET", f"/v1/messages?transactionId={transaction_id}").json()["data"]
        return bool(message["status"] == "error" and message["errorId"])

    wait_for(failed)
    details = place.data("GET", f"/v1/execution-details?notificationId={activity['_id']}&subscriberId={name}")
    assert "Failed" in {detail["status"] for detail in details}
    listed = place.call("GET", f"/v1/notifications?subscriberIds={name}&channels=sms").json()["data"]
    assert [item["_id"] for item in listed] == [activity["_id"]]


def test_every_call_of_the_sdks_is_there_with_its_status_and_its_envelope(place: NovuPlace) -> None:
    """Each call that the reference marks, in an order in which each finds what it is about."""
    mark = uuid4().hex[:8]
    one, topic, tenant = f"/v2/subscribers/{mark}", f"/v2/topics/{mark}", f"/v1/tenants/{mark}"
    first, feed = f"/v1/subscribers/{mark}", f"/v1/subscribers/{mark}/notifications"
    credentials = {"providerId": "fcm", "credentials": {"deviceTokens": ["a"]}}
    channels = {"channels": {"sms": True}}
    text = {"name": "Text", "type": "sms", "controlValues": {"body": "x"}}
    relay = {"host": "smtp.example.com", "port": "587", "user": "me", "password": "secret"}
    calls: list[tuple[str, str, Any, int]] = [
        ("POST", "/v2/subscribers", {"subscriberId": mark, "phone": phone()}, 201),
        ("GET", f"/v2/subscribers?subscriberId={mark}", None, 200),
        ("GET", one, None, 200),
        ("PATCH", one, {"firstName": "Ada"}, 200),
        ("POST", "/v1/subscribers/bulk", {"subscribers": [{"subscriberId": mark}]}, 201),
        ("PUT", f"{first}/credentials", credentials, 200),
        ("PATCH", f"{first}/credentials", credentials, 200),
        ("DELETE", f"{first}/credentials/fcm", None, 204),
        ("PATCH", f"{first}/online-status", {"isOnline": True}, 200),
        ("GET", f"{one}/preferences", None, 200),
        ("PATCH", f"{one}/preferences", channels, 200),
        ("PATCH", f"{one}/preferences/bulk", {"preferences": [{"workflowId": "hello", **channels}]}, 200),
        ("GET", f"{one}/notifications", None, 200),
        ("GET", f"{feed}/feed", None, 200),
        ("GET", f"{feed}/unseen", None, 200),
        ("POST", f"{first}/messages/mark-as", {"messageId": "x", "markAs": "read"}, 201),
        ("POST", f"{first}/messages/mark-all", {"markAs": "read"}, 201),
        ("POST", "/v2/topics", {"key": mark, "name": "All"}, 201),
        ("GET", f"/v2/topics?key={mark}", None, 200),
        ("GET", topic, None, 200),
        ("PATCH", topic, {"name": "Everybody"}, 200),
        ("POST", f"{topic}/subscriptions", {"subscriptions": [mark]}, 201),
        ("GET", f"{topic}/subscriptions", None, 200),
        ("GET", f"/v1/topics/{mark}/subscribers/{mark}", None, 200),
        ("GET", f"{one}/subscriptions", None, 200),
        ("DELETE", f"{topic}/subscriptions", {"subscriptions": [mark]}, 200),
        ("DELETE", topic, None, 200),
        ("POST", "/v1/tenants", {"identifier": mark, "name": "T", "data": {}}, 201),
        ("GET", "/v1/tenants", None, 200),
        ("GET", tenant, None, 200),
        ("PATCH", tenant, {"name": "U"}, 200),
        ("DELETE", tenant, None, 204),
        ("POST", "/v2/workflows", {"name": mark, "workflowId": mark, "steps": [text]}, 201),
        ("GET", f"/v2/workflows?query={mark}", None, 200),
        ("GET", f"/v2/workflows/{mark}", None, 200),
        ("PUT", f"/v2/workflows/{mark}", {"name": mark, "steps": [text], "preferences": {}}, 200),
        ("PATCH", f"/v2/workflows/{mark}", {"active": True}, 200),
        ("POST", "/v1/events/trigger", {"name": mark, "to": mark, "transactionId": mark}, 201),
        ("POST", "/v1/events/trigger/bulk", {"events": [{"name": mark, "to": mark, "transactionId": mark}]}, 201),
        ("POST", "/v1/events/trigger/broadcast", {"name": mark, "payload": {}, "transactionId": f"{mark}-all"}, 201),
        ("DELETE", f"/v1/events/trigger/{mark}", None, 200),
        ("GET", f"/v1/messages?subscriberId={mark}", None, 200),
        ("DELETE", f"/v1/messages/transaction/{mark}", None, 204),
        ("GET", f"/v1/notifications?subscriberIds={mark}", None, 200),
        ("GET", "/v1/notifications/stats", None, 200),
        ("GET", "/v1/integrations", None, 200),
        ("GET", "/v1/integrations/active", None, 200),
        ("POST", "/v1/integrations", {"providerId": "nodemailer", "channel": "email", "credentials": relay}, 201),
        ("DELETE", f"/v2/workflows/{mark}", None, 204),
        ("DELETE", one, None, 200),
    ]  # fmt: skip
    for method, path, body, status in calls:
        answer = place.call(method, path, body)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        assert (answer.content == b"") if status == 204 else ("data" in answer.json()), (method, path, answer.text)


def test_refusals_look_as_novus_and_a_workspace_sees_only_its_own(place: NovuPlace, stack: Stack) -> None:
    stranger = NovuPlace(stack)
    name, _ = person(place)
    missing = stranger.call("GET", f"/v2/subscribers/{name}")
    nowhere = place.call("GET", "/v1/nowhere")
    unread = place.call("POST", "/v1/events/trigger", {"name": "hello"})
    anonymous = place.call("GET", "/v2/topics", Authorization="Basic eDp5")

    assert missing.status_code == 404
    assert missing.json().keys() >= {"statusCode", "timestamp", "path", "message"}
    assert (nowhere.status_code, nowhere.json()["path"]) == (404, "/v1/nowhere")
    assert unread.status_code == 422
    assert unread.json()["errors"]["to"]["messages"]
    assert (anonymous.status_code, anonymous.json()["message"]) == (401, 'Invalid authentication scheme: "Basic"')
    assert stranger.call("POST", "/v1/events/trigger", {"name": "hello", "to": name}).status_code == 422
    assert stranger.call("GET", f"/v1/messages?subscriberId={name}").json()["data"] == []


def test_a_workflow_of_ours_is_triggered_by_its_name(place: NovuPlace) -> None:
    template = {"key": "plain", "name": "Plain", "channel": "sms", "category": "transactional",
                "variants": [{"country": None, "locale": None, "text": "Code {{code}}"}]}  # fmt: skip
    step = {"step_id": "s", "step_name": "S", "channel": "sms", "template_key": "plain"}
    workflow = {"name": "Our own", "type": "steps", "status": "active", "steps": [step]}
    for path, body in (("/api/v1/templates", template), ("/api/v1/workflows", workflow)):
        assert place.call("POST", path, body).status_code == 201
    name, number = person(place)
    place.trigger("Our own", name, payload={"code": "123"})

    assert place.sent_to(number)[0]["text"] == "Code 123"
    assert place.data("GET", "/v2/workflows?query=our own")["workflows"][0]["name"] == "Our own"
