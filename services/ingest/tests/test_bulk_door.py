"""A bulk call is answered item by item and appended at once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.identifiers import trigger_id_for_key
from sluice_contracts.vocabulary import Channel, Lane

BULK = "/api/v1/messages/bulk"
WORKFLOWS = "/api/v1/workflows/trigger/bulk"
GOOD = {"channel": "sms", "recipient_type": "direct_sms", "direct_sms": "+14155550100", "text": "Hello"}
EMAIL = {"channel": "email", "recipient_type": "contact", "contact_external_id": "a", "template_key": "welcome"}
TAGGED = {"channel": "sms", "recipient_type": "tag", "tag": "vip", "template_key": "sale"}


async def test_a_bad_item_fails_alone_and_the_order_is_kept(service: Any) -> None:
    items: list[Any] = [
        GOOD,
        {**GOOD, "surprise": 1},
        EMAIL,
        {**GOOD, "channel": "fax"},
        {**GOOD, "template_key": "nobody", "text": None},
        7,
        {**GOOD, "channel": ["sms"]},
        {"channel": "whatsapp", "recipient_type": "all", "text": "Hi", "category": "marketing"},
    ]
    status, body, _ = await service.post(BULK, {"messages": items})
    assert status == 200
    assert (body["success"], body["accepted"], body["failed"]) == (False, 3, 5)
    assert [result["index"] for result in body["results"]] == list(range(8))
    assert [result["success"] for result in body["results"]] == [True, False, True, False, False, False, False, True]
    fields = [[error["field"] for error in result.get("errors", [])] for result in body["results"]]
    assert fields == [[], ["surprise"], [], ["channel"], ["template_key"], [""], ["channel"], []]
    assert body["results"][1]["problem"]["status"] == 422
    [batch] = service.publisher.batches
    triggers = service.publisher.triggers()
    assert [str(trigger.trigger_id) for trigger in triggers] == [
        result["trigger_id"] for result in body["results"] if result["success"]
    ]
    assert [trigger.lane for trigger in triggers] == [Lane.PRIORITY, Lane.PRIORITY, Lane.BULK]
    assert [record.topic for record in batch] == ["triggers.priority", "triggers.priority", "triggers.bulk"]
    assert "job_id" in body["results"][0]
    assert "job_id" not in body["results"][7]


async def test_nothing_is_published_where_nothing_is_good(service: Any) -> None:
    status, body, _ = await service.post(BULK, {"messages": [1, 2]})
    assert (status, body["accepted"]) == (200, 0)
    assert service.publisher.batches == []


@pytest.mark.parametrize("messages", [[], [GOOD] * 1001, {}, None, "x"])
async def test_a_bulk_call_holds_one_to_a_thousand_items(service: Any, messages: Any) -> None:
    status, body, _ = await service.post(BULK, {"messages": messages})
    assert (status, body["errors"][0]["field"]) == (422, "messages")


async def test_a_thousand_items_are_one_publish(service: Any) -> None:
    status, body, _ = await service.post(BULK, {"messages": [GOOD] * 1000})
    assert (status, body["accepted"]) == (200, 1000)
    assert [len(batch) for batch in service.publisher.batches] == [1000]
    assert len({trigger.trigger_id for trigger in service.publisher.triggers()}) == 1000


async def test_an_item_that_is_too_large_fails_alone(service: Any) -> None:
    large = {**GOOD, "metadata": {"filling": "x" * 600_000}}
    status, body, _ = await service.post(BULK, {"messages": [GOOD, large, GOOD]})
    assert status == 200
    assert [result["success"] for result in body["results"]] == [True, False, True]
    assert body["results"][1]["problem"]["status"] == 413


@pytest.mark.parametrize("beside", [[], [7]], ids=["all are good", "one is not"])
async def test_an_item_that_is_too_large_fails_alone_whatever_lies_beside_it(service: Any, beside: list[Any]) -> None:
    large = {**GOOD, "metadata": {"filling": "x" * 600_000}}
    huge = {**GOOD, "metadata": {"number": 2**70}}
    _, body, _ = await service.post(BULK, {"messages": [GOOD, large, huge, GOOD, *beside]})
    assert [result["success"] for result in body["results"]] == [True, False, False, True, *[False for _ in beside]]
    assert [body["results"][place]["problem"]["status"] for place in (1, 2)] == [413, 422]


async def test_items_become_the_same_whether_or_not_another_is_wrong(service: Any) -> None:
    items = [GOOD, TAGGED, EMAIL]
    alone = await service.post(BULK, {"messages": items}, Idempotency_Key="k")
    among = await service.post(BULK, {"messages": [*items, {**GOOD, "channel": "pigeon"}]}, Idempotency_Key="k2")
    assert alone[1]["success"] is True
    first, second = (
        [trigger.model_copy(update={"trigger_id": UUID(int=0)}) for trigger in triggers]
        for triggers in (service.publisher.triggers()[:3], service.publisher.triggers()[3:])
    )
    assert first == second
    assert [result["success"] for result in among[1]["results"]] == [True, True, True, False]


async def test_what_is_no_list_of_items_is_named_by_its_field(service: Any) -> None:
    for wrong in ({"a": 1}, 7, None):
        status, body, _ = await service.post(BULK, {"messages": wrong})
        assert (status, body["errors"]) == (422, [{"field": "messages", "message": "Input should be a valid array"}])


async def test_workflows_start_in_bulk(service: Any) -> None:
    contact = {"recipient_type": "contact", "contact_external_id": "a"}
    items = [
        {"workflow_name": "Welcome Series", **contact},
        {"workflow_name": "Old Series", **contact},
        {"workflow_name": "Welcome Series"},
    ]
    status, body, _ = await service.post(WORKFLOWS, {"triggers": items})
    assert status == 200
    assert [result["success"] for result in body["results"]] == [True, False, False]
    assert body["results"][1]["problem"]["status"] == 409
    [trigger] = service.publisher.triggers()
    assert trigger.plan.workflow_id == UUID(int=70)


async def test_each_item_of_a_call_with_a_key_has_an_id_of_its_own_that_a_repeat_keeps(service: Any) -> None:
    first = await service.post(BULK, {"messages": [GOOD, GOOD]}, Idempotency_Key="k")
    ids = [result["trigger_id"] for result in first[1]["results"]]
    assert len(set(ids)) == 2
    assert str(trigger_id_for_key(UUID(int=1), "k")) not in ids
    second = await service.post(BULK, {"messages": [GOOD, GOOD]}, Idempotency_Key="k")
    assert second[1] == first[1]
    assert second[2]["Idempotency-Replay"] == "true"
    assert len(service.publisher.batches) == 1


async def test_an_account_of_an_item_is_found_by_looking_again(service: Any) -> None:
    service.renewals.append(lambda: service.definitions.add_account(90, Channel.SMS, "twilio"))
    item = {**GOOD, "sms_identity_id": str(UUID(int=90))}
    _, body, _ = await service.post(BULK, {"messages": [GOOD, item]})
    assert body["success"] is True


async def test_a_broker_that_is_away_fails_the_whole_call(service: Any) -> None:
    service.publisher.away = True
    status, _, headers = await service.post(BULK, {"messages": [GOOD, 7]})
    assert (status, headers["Retry-After"]) == (503, "2")
