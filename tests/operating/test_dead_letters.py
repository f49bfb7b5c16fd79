"""Dead letters from the moment at which something cannot be read to the message on a telephone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from api_client import ApiClient, wait_until
from sluice_contracts import topics
from sluice_contracts.identifiers import new_id
from sluice_contracts.vocabulary import Channel, Lane
from sluice_local.arguments import parser
from sluice_local.operating.letters import Place
from sluice_local.stack import Stack
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.kafka.inspection import KafkaInspector
from sluice_messaging.records import OutboundRecord, Record

pytestmark = pytest.mark.e2e

TRIGGERS = topics.triggers(Lane.PRIORITY)
LETTERS = f"{TRIGGERS}.dlq"
RECEIPTS = topics.receipts(Channel.EMAIL)
TELEPHONE = "+14155550142"


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads topics whole."""

    inspector: KafkaInspector

    async def records(self, topic: str, text: str) -> list[Record]:
        """Return the records of `topic` whose value holds `text`."""
        partitions = [each.partition for each in await self.inspector.partitions() if each.partition.topic == topic]
        return [
            record
            for partition, extent in (await self.inspector.extents(partitions)).items()
            async for record in self.inspector.records(partition, extent)
            if text.encode() in record.value
        ]

    async def letters(self, topic: str, text: str, count: int) -> list[Record]:
        """Wait until `topic` holds `count` letters whose value holds `text`, and return them."""
        found: list[Record] = []

        async def are_there() -> bool:
            nonlocal found
            found = await self.records(topic, text)
            return len(found) >= count

        await wait_until(are_there, describe=lambda: f"{topic} holds {len(found)} letters about {text}")
        return found


@pytest.fixture
async def reader(stack: Stack) -> AsyncIterator[Reader]:
    async with KafkaInspector(stack.connections.kafka, "test") as inspector:
        yield Reader(inspector)


def place_of(record: Record) -> str:
    return str(Place(record.partition, record.offset))


@pytest.fixture
async def poisoned(reader: Reader, api: ApiClient, messaging: KafkaMessaging) -> tuple[str, list[Record]]:
    """A trigger that some producer spelled wrongly: its id, and the letter of each service that gave it up."""
    mark = uuid4().hex
    body = {"recipient_type": "direct_sms", "direct_sms": TELEPHONE, "text": mark, "category": "transactional"}
    model = (await api.post("/api/v1/sms/send", body))["trigger_id"]
    (good,) = await reader.records(TRIGGERS, model)
    trigger_id = str(new_id())
    value = good.value.replace(model.encode(), trigger_id.encode()).replace(b'"transactional"', b'"tranzactional"')
    headers = {**good.headers, "x-of-its-time": "1"}
    await messaging.publisher.publish([OutboundRecord(TRIGGERS, trigger_id.encode(), value, headers)])
    return trigger_id, await reader.letters(LETTERS, trigger_id, 2)


async def test_a_poisoned_trigger_is_found_mended_and_sent_once(
    operate: Any, reader: Reader, api: ApiClient, sender: Any, poisoned: tuple[str, list[Record]], tmp_path: Path
) -> None:
    trigger_id, (letter, twin) = poisoned
    place = place_of(letter)

    listed = await operate("dlq", "list")
    assert listed.code == 0
    assert LETTERS in listed.out
    assert "waiting" in listed.out

    shown = await operate("dlq", "show", LETTERS, place)
    assert f"came from    {TRIGGERS}" in shown.out
    assert "x-consumer-group:" in shown.out
    assert "category: Input should be" in shown.out
    assert trigger_id in shown.out
    assert TELEPHONE not in shown.out
    whole = await operate("dlq", "show", LETTERS, place, "--unmasked")
    assert TELEPHONE in whole.out

    mended = tmp_path / "value.json"
    mended.write_text(whole.out[whole.out.index("{\n") :])
    refused = await operate("dlq", "edit", LETTERS, place, "--value-file", str(mended))
    assert refused.code == 2
    assert "category" in refused.err
    mended.write_text(mended.read_text().replace("tranzactional", "transactional"))
    accepted = await operate("dlq", "edit", LETTERS, place, "--value-file", str(mended))
    assert (accepted.code, accepted.err) == (0, "")

    redriven = await operate("dlq", "redrive", LETTERS, place, place_of(twin))
    assert redriven.code == 0, redriven
    assert "(as edited)" in redriven.out
    assert "1 redriven" in redriven.out
    assert (await api.finished(trigger_id))["summary"]["sent"] == 1
    assert await sender.handed_over(trigger_id) == 1

    again = await operate("dlq", "redrive", LETTERS, place_of(twin))
    assert again.code == 2
    assert "--again" in again.err
    (sent,) = redriven_among(await reader.records(TRIGGERS, trigger_id))
    assert sent.key == trigger_id.encode()
    assert sent.headers == {**without_additions(letter.headers), "x-redriven-from": f"{LETTERS} {place}"}

    assert (await operate("dlq", "redrive", LETTERS, place, "--again")).code == 0
    copies = redriven_among(await reader.records(TRIGGERS, trigger_id))
    assert len(copies) == 2
    assert await sender.handed_over(trigger_id) == 1


def redriven_among(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if "x-redriven-from" in record.headers]


def without_additions(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not name.startswith("x-")}


async def test_what_is_chosen_by_reason_comes_back_if_nobody_mends_it(
    operate: Any, reader: Reader, messaging: KafkaMessaging
) -> None:
    mark = uuid4().hex
    letter = OutboundRecord(
        LETTERS, b"k", f'"{mark}"'.encode(), {"x-error-class": "PoisonError", "x-error": f"Reason {mark} of 7"}
    )
    await messaging.publisher.publish([letter])
    nothing = await operate("dlq", "redrive", LETTERS, "--reason", f"no {mark}")
    assert (nothing.code, nothing.out) == (0, f"0 redriven to {TRIGGERS}\n")
    redriven = await operate("dlq", "redrive", LETTERS, "--reason", f"reason {mark}")
    assert "1 redriven" in redriven.out
    assert "may come back" in redriven.err
    await reader.letters(LETTERS, mark, 3)
    once_more = await operate("dlq", "redrive", LETTERS, "--reason", f"reason {mark}")
    assert "0 redriven" in once_more.out


async def test_an_edit_in_the_editor_waits_for_the_redrive_and_can_be_discarded(
    operate: Any, poisoned: tuple[str, list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (letter, _) = poisoned
    place = place_of(letter)
    monkeypatch.delenv("VISUAL", raising=False)
    for editor, code, said in (
        ("", 2, "set EDITOR"),
        ("false", 2, "ended with 1"),
        ("/nowhere/editor", 2, "cannot be started"),
        ("true", 0, "nothing changed"),
        ("sed -i s/tranzactional/transactional/", 0, "is edited"),
    ):
        monkeypatch.setenv("EDITOR", editor)
        answer = await operate("dlq", "edit", LETTERS, place)
        assert answer.code == code, answer
        assert said in answer.out + answer.err
    assert "reads as     trigger.accepted.v1" in (await operate("dlq", "show", LETTERS, place)).out
    assert "of them edited" in (await operate("dlq", "list")).out
    assert (await operate("dlq", "edit", LETTERS, place, "--discard")).code == 0
    assert "was not edited" in (await operate("dlq", "edit", LETTERS, place, "--discard")).err
    assert "not a message" in (await operate("dlq", "show", LETTERS, place)).out


async def test_a_letter_too_large_to_be_kept_is_taken_from_where_it_died(
    operate: Any, reader: Reader, messaging: KafkaMessaging
) -> None:
    mark = uuid4().hex
    value = json.dumps({"type": mark}).encode()
    await messaging.publisher.publish([OutboundRecord(RECEIPTS, mark.encode(), value)])
    (original,) = await reader.records(RECEIPTS, mark)
    headers = {
        "x-original-topic": RECEIPTS, "x-original-partition": str(original.partition), "x-error-class": "PoisonError",
        "x-error": f"too large {mark}", "x-omitted-bytes": str(len(value)),
    }  # fmt: skip
    letters = f"{RECEIPTS}.dlq"
    await messaging.publisher.publish(
        [
            OutboundRecord(letters, mark.encode(), b"", {**headers, "x-original-offset": offset})
            for offset in ("999999", str(original.offset))
        ]
    )
    answer = await operate("dlq", "redrive", letters, "--reason", mark)
    assert answer.code == 1
    assert "1 redriven to receipts.email, 1 left" in answer.out
    assert "was too large to be kept" in answer.err
    assert len(await reader.records(RECEIPTS, mark)) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "deliveries", "0:0"), "theirs are in deliveries.dlq"),
        (
            ("show", "nonsense.dlq", "0:0"),
            "there is no dead-letter topic 'nonsense.dlq'; there are events.dlq",
        ),
        (("show", "deliveries.dlq", "0:99999999"), "has nothing at 0:99999999"),
        (("show", "deliveries.dlq", "7:0"), "has no partition 7"),
        (("redrive", "deliveries.dlq", "0:99999999"), "has nothing at 0:99999999"),
        (("redrive", "deliveries.dlq"), "say which"),
        (("edit", "deliveries.dlq", "0:99999999", "--value-file", "-"), "has nothing at 0:99999999"),
    ],
)
async def test_what_is_not_there_is_said(operate: Any, words: tuple[str, ...], said: str) -> None:
    answer = await operate("dlq", *words)
    assert answer.code == 2
    assert said in answer.err


async def test_without_a_stack_every_tool_says_where_one_would_be(operate: Any, tmp_path: Path) -> None:
    for words in (("dlq", "list"), ("audit", "--all"), ("doctor",), ("replay", str(uuid4()))):
        answer = await operate(*words, data=str(tmp_path))
        assert answer.code == 2
        assert f"there is no stack over {tmp_path}" in answer.err


def test_a_place_is_a_partition_and_an_offset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["dlq", "show", "deliveries.dlq", "12"])
    assert "not of the form PARTITION:OFFSET" in capsys.readouterr().err
