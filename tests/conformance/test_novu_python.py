"""Novu's two Python SDKs, unmodified: only the URL is ours."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from novu.api import (
    EventApi,
    ExecutionDetailApi,
    IntegrationApi,
    MessageApi,
    NotificationApi,
    NotificationGroupApi,
    NotificationTemplateApi,
    SubscriberApi,
    TenantApi,
    TopicApi,
)
from novu.dto.event import InputEventDto
from novu.dto.subscriber import SubscriberDto
from novu_py import Novu, models
from novu_py.utils import BackoffStrategy, RetryConfig

from lossy import losing_the_first_answer
from novu_place import NovuPlace, phone
from sluice_local.stack import Stack

pytestmark = [
    pytest.mark.e2e,
    # The SDK looks at fields of its own that it calls deprecated.
    pytest.mark.filterwarnings("ignore:.*This will be removed in a future release:DeprecationWarning"),
]

NO_RETRIES = RetryConfig("none", BackoffStrategy(1, 1, 1, 1), retry_connection_errors=False)
STRICT = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}


@pytest.fixture(scope="module")
def place(stack: Stack) -> NovuPlace:
    place = NovuPlace(stack)
    place.text_workflow("order-shipped", "Hi {{subscriber.firstName}}, order {{payload.n}} is on its way")
    place.text_workflow("switched-off", "x", active=False)
    place.text_workflow("strict", "Hi {{payload.name}}", validatePayload=True, payloadSchema=STRICT)
    later = {"name": "Wait", "type": "delay", "controlValues": {"type": "regular", "amount": 5, "unit": "hours"}}
    place.workflow("much-later", [later, {"name": "Text", "type": "sms", "controlValues": {"body": "x"}}])
    return place


@pytest.fixture(scope="module")
def novu(place: NovuPlace) -> Iterator[Novu]:
    with Novu(secret_key=place.key, server_url=place.url, retry_config=NO_RETRIES) as client:
        yield client


def event(to: Any, **more: Any) -> Any:
    return {"workflow_id": "order-shipped", "to": to, "payload": {"n": 1}, **more}


def test_the_current_sdk_triggers_and_the_message_arrives(place: NovuPlace, novu: Novu) -> None:
    number = phone()
    answer = novu.trigger(
        trigger_event_request_dto=event(
            {"subscriber_id": f"u{number}", "phone": number, "first_name": "Ada"}, transaction_id=f"tx{number}"
        )
    )

    assert answer.result.acknowledged
    assert answer.result.status == "processed"
    assert answer.result.transaction_id == f"tx{number}"
    assert place.sent_to(number)[0]["text"] == "Hi Ada, order 1 is on its way"
    generated = novu.trigger(trigger_event_request_dto=event(f"u{number}")).result.transaction_id
    assert generated is not None
    assert generated.startswith("txn_")


def test_a_bulk_keeps_its_order_and_one_bad_item_fails_alone(novu: Novu) -> None:
    events = [event(f"b{number}", transaction_id=f"bulk-{uuid4()}") for number in range(5)]
    events[2]["workflow_id"] = "nothing"

    results = novu.trigger_bulk(bulk_trigger_event_dto={"events": events}).result

    assert [result.status for result in results] == ["processed", "processed", "error", "processed", "processed"]
    assert results[2].error == ["workflow_not_found"]
    assert [result.transaction_id for result in results] == [one["transaction_id"] for one in events]
    assert len(novu.trigger_bulk(bulk_trigger_event_dto={"events": [event("b1")] * 100}).result) == 100


def test_the_current_sdk_broadcasts_and_cancels(place: NovuPlace, novu: Novu) -> None:
    transaction_id = f"cancel-{uuid4()}"
    announced = novu.trigger_broadcast(
        trigger_event_to_all_request_dto={"name": "much-later", "payload": {}, "transaction_id": f"all-{uuid4()}"}
    )
    novu.trigger(trigger_event_request_dto={"workflow_id": "much-later", "to": "c1", "transaction_id": transaction_id})

    assert announced.result.status == "processed"
    place.known(transaction_id)
    assert novu.cancel(transaction_id=transaction_id).result is True
    assert novu.cancel(transaction_id="never-heard-of").result is False
    (activity,) = place.settled(transaction_id)
    assert [job["status"] for job in activity["jobs"]] == ["canceled"]
    assert novu.cancel(transaction_id=transaction_id).result is False


def test_what_is_wrong_is_raised_as_the_sdks_own_errors(place: NovuPlace, novu: Novu) -> None:
    with pytest.raises(models.ValidationErrorDto) as unknown:
        novu.trigger(trigger_event_request_dto={"workflow_id": "nothing", "to": "u1"})
    assert (unknown.value.data.status_code, unknown.value.data.message) == (422, "workflow_not_found")

    with pytest.raises(models.ValidationErrorDto) as many:
        novu.trigger_bulk(bulk_trigger_event_dto={"events": [event("u1")] * 101})
    assert many.value.data.errors["events"].messages[0] == "events must contain no more than 100 elements"

    with pytest.raises(models.PayloadValidationExceptionDto) as payload:
        novu.trigger(trigger_event_request_dto={"workflow_id": "strict", "to": "u1", "payload": {"name": 7}})
    assert payload.value.data.type == "PAYLOAD_VALIDATION_ERROR"
    assert (payload.value.data.errors[0].field, payload.value.data.errors[0].message) == ("name", "must be string")

    with (
        Novu(secret_key="sk_nobodys", server_url=place.url, retry_config=NO_RETRIES) as stranger,
        pytest.raises(models.ErrorDto) as nobody,
    ):
        stranger.trigger(trigger_event_request_dto=event("u1"))
    assert (nobody.value.data.status_code, nobody.value.data.message) == (401, "API Key not found")

    with pytest.raises(models.ErrorDto) as large:
        novu.trigger(trigger_event_request_dto=event("u1") | {"payload": {"x": "y" * 600_000}})
    assert large.value.data.status_code == 413

    inactive = novu.trigger(trigger_event_request_dto={"workflow_id": "switched-off", "to": "u1"})
    assert inactive.result.status == "trigger_not_active"
    tenant = novu.trigger(trigger_event_request_dto=event("u1", tenant="nobody"))
    assert tenant.result.status == "no_tenant_found"
    nobody_at_all = novu.trigger(trigger_event_request_dto=event(""))
    assert nobody_at_all.result.status == "invalid_recipients"


def test_an_idempotency_key_replays_and_refuses_another_body(novu: Novu) -> None:
    key = f"idem-{uuid4()}"
    first = novu.trigger(trigger_event_request_dto=event("i1"), idempotency_key=key)
    again = novu.trigger(trigger_event_request_dto=event("i1"), idempotency_key=key)

    assert again.result == first.result
    assert again.headers["idempotency-replay"] == ["true"]
    assert "ratelimit-remaining" in first.headers
    with pytest.raises(models.ValidationErrorDto) as other:
        novu.trigger(trigger_event_request_dto=event("i2"), idempotency_key=key)
    assert other.value.data.message == f'Request with key "{key}" is being reused for a different body'
    with pytest.raises(models.PayloadValidationExceptionDto):
        novu.trigger(trigger_event_request_dto=event("i1"), idempotency_key="k" * 256)


def test_one_transaction_is_delivered_once_however_many_calls_name_it(place: NovuPlace, novu: Novu) -> None:
    number, transaction_id = phone(), f"once-{uuid4()}"
    place.subscriber(f"u{number}", phone=number, firstName="Ada")

    def call(_: int) -> str:
        answer = novu.trigger(trigger_event_request_dto=event(f"u{number}", transaction_id=transaction_id))
        return answer.result.status.value

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(call, range(8)))

    assert statuses == ["processed"] * 8
    place.settled(transaction_id)
    last = phone()
    place.trigger("order-shipped", {"subscriberId": f"u{last}", "phone": last, "firstName": "B"}, payload={"n": 2})
    place.sent_to(last)
    assert len(place.sent_to(number)) == 1


@pytest.mark.parametrize(
    ("named", "messages"),
    [
        ({"transaction": True}, 1),
        ({"key": True}, 1),
        # The SDK makes a new idempotency key for each try: nothing tells the second from another event that says the
        # same, and whoever names neither of the two gets what they would get at Novu.
        ({}, 2),
    ],
)
def test_an_answer_that_was_lost_is_asked_for_again(place: NovuPlace, named: dict[str, bool], messages: int) -> None:
    number, name = phone(), f"lost-{uuid4().hex}"
    place.subscriber(name, phone=number, firstName="Ada")
    said = event(name, transaction_id=name) if "transaction" in named else event(name)
    key = name if "key" in named else None
    patient = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 10_000), retry_connection_errors=True)
    with (
        losing_the_first_answer(place.url) as way,
        Novu(secret_key=place.key, server_url=way.url, retry_config=patient) as client,
    ):
        answer = client.trigger(trigger_event_request_dto=said, idempotency_key=key)

    assert answer.result.status == "processed"
    keys = {headers["idempotency-key"] for headers in way.requests}
    assert (len(way.requests), len(keys)) == (2, 1 if key else 2)
    place.settled(str(answer.result.transaction_id))
    last, later = phone(), f"last-{uuid4().hex}"
    place.subscriber(later, phone=last, firstName="B")
    place.trigger("order-shipped", later, payload={"n": 2})
    place.sent_to(last)
    assert len(place.sent_to(number, messages)) == messages


def test_the_current_sdk_manages_subscribers(place: NovuPlace, novu: Novu) -> None:
    name = uuid4().hex[:8]
    made = novu.subscribers.create(
        create_subscriber_request_dto={"subscriber_id": name, "first_name": "Ada", "email": f"{name}@example.com",
                                       "data": {"plan": "pro"}, "avatar": "https://x.example/a.png"}
    ).result  # fmt: skip
    changed = novu.subscribers.patch(
        subscriber_id=name, patch_subscriber_request_dto={"last_name": "L", "phone": "+14155550123"}
    ).result
    found = novu.subscribers.search(request={"email": name}).result
    bulk = novu.subscribers.create_bulk(
        bulk_subscriber_create_dto={"subscribers": [
            {"subscriber_id": name}, {"subscriber_id": f"{name}-2"}, {"subscriber_id": f"{name}-3", "phone": "none"}]}
    ).result  # fmt: skip

    assert (made.subscriber_id, made.first_name, made.data) == (name, "Ada", {"plan": "pro"})
    assert (changed.last_name, changed.phone, changed.first_name) == ("L", "+14155550123", "Ada")
    assert [one.subscriber_id for one in found.data] == [name]
    assert [one.subscriber_id for one in bulk.updated] == [name]
    assert [one.subscriber_id for one in bulk.created] == [f"{name}-2"]
    assert [one.subscriber_id for one in bulk.failed] == [f"{name}-3"]
    assert novu.subscribers.retrieve(subscriber_id=name).result.avatar == "https://x.example/a.png"

    credentials = novu.subscribers.credentials.update(
        subscriber_id=name, update_subscriber_channel_request_dto={
            "provider_id": "fcm", "credentials": {"device_tokens": ["a"]}}
    ).result  # fmt: skip
    assert credentials.channels is not None
    assert credentials.channels[0].credentials.device_tokens == ["a"]
    novu.subscribers.credentials.delete(subscriber_id=name, provider_id="fcm")
    assert novu.subscribers.properties.update_online_flag(
        subscriber_id=name, update_subscriber_online_flag_request_dto={"is_online": True}
    ).result.is_online
    assert novu.subscribers.delete(subscriber_id=name).result.status == "deleted"
    with pytest.raises(models.ErrorDto) as gone:
        novu.subscribers.retrieve(subscriber_id=name)
    assert gone.value.data.status_code == 404


def test_the_current_sdk_pages_through_subscribers(place: NovuPlace, novu: Novu) -> None:
    mark = uuid4().hex[:8]
    for number in range(5):
        place.subscriber(f"{mark}-{number}", firstName=mark)
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = novu.subscribers.search(request={"name": mark, "limit": 2, "after": cursor}).result
        seen += [one.subscriber_id for one in page.data]
        cursor = page.next
        if cursor is None:
            break

    assert sorted(seen) == [f"{mark}-{number}" for number in range(5)]
    assert page.total_count == 5


def test_a_subscribers_preferences_stop_messages(place: NovuPlace, novu: Novu) -> None:
    number = phone()
    name = f"p{number}"
    place.subscriber(name, phone=number, firstName="Ada")
    changed = novu.subscribers.preferences.update(
        subscriber_id=name, patch_subscriber_preferences_dto={
            "channels": {"sms": False}, "workflow_id": "order-shipped"}
    ).result  # fmt: skip
    of_workflow = {item.workflow.identifier: item for item in changed.workflows}
    assert changed.global_.enabled
    assert of_workflow["order-shipped"].channels.sms is False
    muted = place.trigger("order-shipped", name, payload={"n": 1})["transactionId"]
    (activity,) = place.settled(muted)
    assert [job["status"] for job in activity["jobs"]] == ["skipped"]

    bulk = novu.subscribers.preferences.bulk_update(
        subscriber_id=name, bulk_update_subscriber_preferences_dto={
            "preferences": [{"workflow_id": "order-shipped", "channels": {"sms": True}}]}
    ).result  # fmt: skip
    assert bulk[0].channels.sms
    everything = novu.subscribers.preferences.update(
        subscriber_id=name, patch_subscriber_preferences_dto={"channels": {"sms": False}}
    ).result
    assert everything.global_.channels.sms is False
    (activity,) = place.settled(place.trigger("order-shipped", name, payload={"n": 1})["transactionId"])
    assert [job["status"] for job in activity["jobs"]] == ["skipped"]
    assert novu.subscribers.preferences.list(subscriber_id=name).result.global_.channels.email


def test_the_current_sdk_manages_topics(place: NovuPlace, novu: Novu) -> None:
    key = f"topic-{uuid4().hex[:8]}"
    for name in ("t1", "t2"):
        place.subscriber(f"{key}-{name}", firstName=name)
    topic = novu.topics.create(create_update_topic_request_dto={"key": key, "name": "Engineers"}).result
    renamed = novu.topics.update(topic_key=key, update_topic_request_dto={"name": "All"}).result
    joined = novu.topics.subscriptions.create(
        topic_key=key, create_topic_subscriptions_request_dto={
            "subscriptions": [f"{key}-t1", f"{key}-t2", "nobody"]}
    ).result  # fmt: skip
    listed = novu.topics.subscriptions.list(request={"topic_key": key}).result
    of_one = novu.subscribers.topics.list(request={"subscriber_id": f"{key}-t1"}).result

    assert (topic.key, topic.name, renamed.name) == (key, "Engineers", "All")
    assert (joined.meta.successful, joined.meta.failed) == (2, 1)
    assert joined.errors is not None
    assert joined.errors[0].subscriber_id == "nobody"
    assert {one.subscriber.subscriber_id for one in listed.data} == {f"{key}-t1", f"{key}-t2"}
    assert [one.topic.key for one in of_one.data] == [key]
    assert novu.topics.subscribers.retrieve(
        topic_key=key, external_subscriber_id=f"{key}-t1"
    ).result.external_subscriber_id == f"{key}-t1"  # fmt: skip
    left = novu.topics.subscriptions.delete(
        topic_key=key, delete_topic_subscriptions_request_dto={"subscriptions": [f"{key}-t1"]}
    ).result
    assert left.meta.successful == 1
    assert [one.key for one in novu.topics.list(request={"key": key}).result.data] == [key]
    assert novu.topics.get(topic_key=key).result.id == topic.id
    assert novu.topics.delete(topic_key=key).result.acknowledged
    with pytest.raises(models.ErrorDto):
        novu.topics.get(topic_key=key)


def test_the_current_sdk_manages_workflows(novu: Novu) -> None:
    identifier = f"wf-{uuid4().hex[:8]}"
    made = novu.workflows.create(
        create_workflow_dto={
            "name": "Everything", "workflow_id": identifier, "tags": ["a"], "active": True,
            "steps": [
                {"name": "Text", "type": "sms", "control_values": {"body": "Hi {{payload.x}}"}},
                {"name": "Mail", "type": "email", "control_values": {"subject": "S", "body": "<p>x</p>"}},
                {"name": "Wait", "type": "delay", "control_values": {"type": "regular", "amount": 1, "unit": "days"}},
                {"name": "Bell", "type": "in_app", "control_values": {"body": "x"}},
                {"name": "Push", "type": "push", "control_values": {"subject": "x", "body": "x"}},
                {"name": "Chat", "type": "chat", "control_values": {"body": "x"}},
                {"name": "Sum up", "type": "digest", "control_values": {"amount": 1, "unit": "hours"}},
            ],
        }
    ).result  # fmt: skip
    assert [step.type for step in made.steps] == ["sms", "email", "delay", "in_app", "push", "chat", "digest"]
    assert made.status == "ERROR", "there are steps that nobody carries out, and each says so"
    said = {step.step_id: step.issues for step in made.steps if step.issues}
    assert set(said) == {"bell", "push", "chat", "sum-up"}
    assert novu.workflows.get(workflow_id=made.id).result.workflow_id == identifier
    assert novu.workflows.get(workflow_id=made.slug).result.name == "Everything"
    listed = novu.workflows.list(request={"query": identifier}).result
    assert [one.workflow_id for one in listed.workflows] == [identifier]
    patched = novu.workflows.patch(workflow_id=identifier, patch_workflow_dto={"active": False}).result
    assert patched.status == "INACTIVE"
    updated = novu.workflows.update(
        workflow_id=identifier,
        update_workflow_dto={
            "name": "Less", "active": True, "preferences": {"user": None},
            "steps": [{"name": "Text", "type": "sms", "control_values": {"body": "Bye"}}],
        },
    ).result  # fmt: skip
    assert (updated.name, updated.status) == ("Less", "ACTIVE")
    assert novu.workflows.steps.retrieve(workflow_id=identifier, step_id="text").result.name == "Text"
    novu.workflows.delete(workflow_id=identifier)
    with pytest.raises(models.ErrorDto):
        novu.workflows.get(workflow_id=identifier)


def test_the_current_sdk_manages_integrations(novu: Novu) -> None:
    before = novu.integrations.list().result
    assert {one.provider_id for one in before} >= {"novu-sms", "novu-email"}
    name = f"relay-{uuid4().hex[:6]}"
    made = novu.integrations.create(
        create_integration_request_dto={
            "provider_id": "nodemailer", "channel": "email", "name": name, "active": False, "check": False,
            "credentials": {"host": "smtp.example.com", "port": "587", "user": "me", "password": "secret"},
        }
    ).result  # fmt: skip
    assert (made.provider_id, made.primary) == ("nodemailer", False)
    assert made.credentials is not None
    assert (made.credentials.host, made.credentials.password) == ("smtp.example.com", None)
    assert made.id is not None
    changed = novu.integrations.update(
        integration_id=made.id, update_integration_request_dto={"credentials": {"host": "other.example.com"}}
    ).result
    assert changed.credentials is not None
    assert changed.credentials.host == "other.example.com"
    assert len(novu.integrations.list_active().result) == len(before) + 1
    primary = next(one for one in before if one.provider_id == "novu-email" and one.primary)
    assert novu.integrations.set_as_primary(integration_id=made.id).result.primary
    assert primary.id is not None
    assert novu.integrations.set_as_primary(integration_id=primary.id).result.primary
    assert len(novu.integrations.delete(integration_id=made.id).result) == len(before)
    with pytest.raises(models.ValidationErrorDto):
        novu.integrations.create(
            create_integration_request_dto={"provider_id": "sendgrid", "channel": "email", "credentials": {}}
        )


def test_the_current_sdk_reads_messages_and_the_activity_feed(place: NovuPlace, novu: Novu) -> None:
    number, transaction_id = phone(), f"read-{uuid4()}"
    name = f"r{number}"
    place.subscriber(name, phone=number, firstName="Ada")
    place.trigger("order-shipped", name, payload={"n": 1}, transactionId=transaction_id)
    place.settled(transaction_id)

    feed = novu.notifications.list(request={"transaction_id": transaction_id}).result
    (activity,) = feed.data
    assert activity.transaction_id == transaction_id
    assert activity.subscriber is not None
    assert activity.subscriber.subscriber_id == name
    assert activity.jobs is not None
    assert [(job.type, job.status, job.provider_id) for job in activity.jobs] == [("sms", "completed", "novu-sms")]
    assert {detail.status for detail in activity.jobs[0].execution_details} >= {"Success"}
    assert activity.id is not None
    assert novu.notifications.retrieve(notification_id=activity.id).result.transaction_id == transaction_id

    page = novu.messages.retrieve(request={"transaction_id": [transaction_id], "subscriber_id": name}).result
    (message,) = page.data
    assert (message.channel, message.status, message.phone) == ("sms", "sent", number)
    assert message.notification_id == activity.id
    assert message.id is not None
    assert novu.messages.delete(message_id=message.id).result.status == "deleted"
    assert novu.messages.retrieve(request={"transaction_id": [transaction_id]}).result.data == []
    with pytest.raises(models.ErrorDto):
        novu.messages.delete(message_id=message.id)
    novu.messages.delete_by_transaction_id(transaction_id=transaction_id, channel="sms")
    assert novu.notifications.list(request={"subscriber_ids": [name]}).result.data[0].id == activity.id
    assert novu.notifications.list(request={"subscriber_ids": ["nobody"]}).result.data == []


def test_the_first_sdk_triggers_in_all_its_ways(place: NovuPlace) -> None:
    number = phone()
    api = EventApi(place.url, place.key)
    place.subscriber(f"u{number}", phone=number, firstName="Ada")
    one = api.trigger(name="order-shipped", recipients=f"u{number}", payload={"n": 1}, transaction_id=f"tx{number}")
    many = api.trigger_bulk(
        [InputEventDto(name="order-shipped", recipients=f"u{place}", payload={"n": 1}) for place in range(3)]
    )
    announced = api.broadcast(name="much-later", payload={})

    assert one.status == "processed"
    assert one.transaction_id == f"tx{number}"
    assert len(list(many)) == 3
    assert announced.status == "processed"
    assert place.sent_to(number)[0]["text"] == "Hi Ada, order 1 is on its way"
    api.delete(f"tx{number}")


def test_the_first_sdk_manages_people_topics_and_tenants(place: NovuPlace) -> None:
    name = uuid4().hex[:8]
    subscribers = SubscriberApi(place.url, place.key)
    made = subscribers.create(SubscriberDto(name, email=f"{name}@example.com", first_name="Ada"))
    assert made.subscriber_id == name
    assert subscribers.put(SubscriberDto(name, last_name="L")).last_name == "L"
    assert subscribers.get(name).first_name == "Ada", "what the SDK leaves out it sends as null, which changes nothing"
    assert subscribers.list().page == 0
    bulk = subscribers.bulk_create([SubscriberDto(f"{name}-2"), SubscriberDto(name)])
    assert len(list(bulk.created)) == 1
    assert any(item.template.name == "Order Shipped" for item in subscribers.preferences(name))
    assert subscribers.unseen_notifications(name) == 0

    topics = TopicApi(place.url, place.key)
    assert topics.create(f"t-{name}", "Topic").key == f"t-{name}"
    succeeded, failed = topics.subscribe(f"t-{name}", [name, "nobody"])
    assert (list(succeeded), failed) == ([name], {"notFound": ["nobody"]})
    assert topics.get(f"t-{name}").subscribers == [name]
    topics.rename(f"t-{name}", "Other")
    assert topics.list(key=f"t-{name}").total_count == 1
    topics.unsubscribe(f"t-{name}", name)
    topics.delete(f"t-{name}")

    tenants = TenantApi(place.url, place.key)
    assert tenants.create(f"acme-{name}", "Acme", {"k": 1}).identifier == f"acme-{name}"
    assert tenants.get(f"acme-{name}").data == {"k": 1}
    assert any(tenant.identifier == f"acme-{name}" for tenant in tenants.list().data)
    tenants.delete(f"acme-{name}")
    subscribers.delete(name)


def test_the_first_sdk_reads_what_there_is(place: NovuPlace) -> None:
    assert any(group.name == "General" for group in NotificationGroupApi(place.url, place.key).list().data)
    assert any(one.name == "Order Shipped" for one in NotificationTemplateApi(place.url, place.key).list().data)
    assert list(IntegrationApi(place.url, place.key).list())
    number = phone()
    place.subscriber(f"u{number}", phone=number, firstName="Ada")
    transaction_id = place.trigger("order-shipped", f"u{number}", payload={"n": 1})["transactionId"]
    (activity,) = place.settled(transaction_id)
    notifications = NotificationApi(place.url, place.key)
    assert any(one.transaction_id == transaction_id for one in notifications.list().data)
    assert notifications.stats()[0] >= 1
    assert [day.count for day in notifications.graph_stats()]
    details = ExecutionDetailApi(place.url, place.key).list(activity["_id"], f"u{number}")
    assert all(detail.transaction_id == transaction_id for detail in details)
    messages = MessageApi(place.url, place.key).list(subscriber_id=f"u{number}")
    assert [one.transaction_id for one in messages.data] == [transaction_id]
