"""The sandbox: every magic address does what it says, and its receipts come through the ordinary door."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sluice_catalog.models import ProviderAccount
from sluice_channel import signatures
from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    CallbackRequest,
    EmailMessage,
    OutboundMessage,
    RejectRecipient,
    Retry,
    SmsMessage,
)
from sluice_channel.sandbox.behaviours import Behaviour, behaviour_of
from sluice_channel.sandbox.playback import Doors, DoorShutError, Playback
from sluice_channel.sandbox.provider import SandboxProvider
from sluice_contracts.vocabulary import Channel, Engagement, MessageState, SuppressionReason

SECRET = bytes(range(32))


@pytest.mark.parametrize(
    ("address", "behaviour"),
    [
        ("+15005550001", Behaviour.INVALID),
        ("+15005550002", Behaviour.BOUNCE),
        ("+15005550003", Behaviour.FLAKY),
        ("+15005550004", Behaviour.THROTTLED),
        ("+15005550005", Behaviour.SILENT),
        ("+15005550006", Behaviour.DELIVERED),
        ("+15005550007", Behaviour.OPT_OUT),
        ("+15005550008", Behaviour.COMPLAINT),
        ("+15005550009", Behaviour.ENGAGED),
        ("+15005550010", Behaviour.AMBIGUOUS),
        ("bounce@sandbox.test", Behaviour.BOUNCE),
        ("optout+some.tag@sandbox.test", Behaviour.OPT_OUT),
        ("ambiguous+a+b@sandbox.test", Behaviour.AMBIGUOUS),
        ("delivered@sandbox.test", Behaviour.DELIVERED),
        ("bounce@elsewhere.test", Behaviour.DELIVERED),
        ("bouncer@sandbox.test", Behaviour.DELIVERED),
    ],
)
def test_an_address_behaves_as_documented(address: str, behaviour: Behaviour) -> None:
    assert behaviour_of(address) is behaviour


@dataclass
class Door:
    """Stands for ingest: takes callbacks and follows links, unless it is shut."""

    url: str = ""
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    unsigned: int = 0

    async def callback(self, request: web.Request) -> web.Response:
        body = await request.read()
        secret = signatures.sandbox_secret(SECRET, uuid_of(request))
        if request.headers.get("X-Sandbox-Signature") != signatures.sandbox_signature(body, secret):
            self.unsigned += 1
        if self.status == 200:
            self.bodies.append(body)
        return web.Response(status=self.status)

    async def link(self, request: web.Request) -> web.Response:
        self.followed.append(f"{request.method} {request.path}")
        return web.Response()

    @property
    def events(self) -> Counter[tuple[str, str]]:
        receipts = [receipt for body in self.bodies for receipt in json.loads(body)["receipts"]]
        return Counter((reference, each["event"]) for each in receipts for reference in each["references"])


def uuid_of(request: web.Request) -> Any:
    from uuid import UUID

    return UUID(request.match_info["account"])


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    app = web.Application()
    app.router.add_post("/callbacks/{channel}/{account}", door.callback)
    app.router.add_route("*", "/{kind:[ocu]}/{token}", door.link)
    async with TestServer(app) as server:
        door.url = str(server.make_url("")).rstrip("/")
        yield door


@pytest.fixture
def sandbox(bench) -> Callable[..., SandboxProvider]:
    def make(**config: Any) -> SandboxProvider:
        account = ProviderAccount(bench.account, bench.workspace, Channel.SMS, "sandbox", "Sandbox", config, {})
        return SandboxProvider(account, bench.database, bench.clock)

    return make


def message(address: str, job: str = "a" * 32 + "-0", content: Any = None, attempt: int = 1) -> OutboundMessage:
    return OutboundMessage(
        reference=f"ref-{address}",
        job_id=job,
        trigger_id=str(uuid4()),
        address=address,
        content=content or SmsMessage("Hello", "GSM-7", 1),
        attempt=attempt,
    )


def playback(bench, door: Door, channel: Channel = Channel.SMS) -> Playback:
    doors = Doors(door.url, "https://public.example")
    return Playback(channel, bench.database, bench.clock, doors, SECRET, timedelta(seconds=1))


async def play(bench, door: Door, channel: Channel = Channel.SMS) -> int:
    bench.clock.advance(timedelta(seconds=2))
    async with aiohttp.ClientSession() as session:
        return await playback(bench, door, channel).play(session)


pytestmark = pytest.mark.integration


async def test_what_was_handed_over_is_kept_before_the_outcome_is_known(bench, sandbox) -> None:
    content = EmailMessage("Hi\x00", "<p>Hi</p>", "Hi", "us@example.com", None, None, {"X-A": "1"})
    outcomes = await sandbox().send([message("ada@example.com", content=content), message("+14155550123")])
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    email, sms = await bench.fetch("SELECT * FROM sandbox_messages ORDER BY call_id, place")
    assert (email["address"], email["subject"], email["html"], email["sender"]) == (
        "ada@example.com",
        "Hi\ufffd",
        "<p>Hi</p>",
        "us@example.com",
    )
    assert email["headers"] == {"X-A": "1"}
    assert (sms["text"], sms["accepted"], sms["headers"]) == ("Hello", True, None)


async def test_each_magic_number_answers_as_documented(bench, sandbox) -> None:
    provider = sandbox()
    (invalid,) = await provider.send([message("+15005550001")])
    assert isinstance(invalid, RejectRecipient)
    assert invalid.suppress is SuppressionReason.HARD_BOUNCE
    (ambiguous,) = await provider.send([message("+15005550010")])
    assert isinstance(ambiguous, Ambiguous)
    flaky = [(await provider.send([message("+15005550003", attempt=n)]))[0] for n in (1, 2, 3)]
    assert [type(outcome) for outcome in flaky] == [Retry, Retry, Accepted]
    throttled = [(await provider.send([message("+15005550004", "b-0")]))[0] for _ in range(2)]
    assert throttled[0] == Retry("429", "Too many requests", after=1.0, burns_attempt=False)
    assert isinstance(throttled[1], Accepted)
    kept = Counter(row["address"] for row in await bench.fetch("SELECT address FROM sandbox_messages WHERE accepted"))
    assert kept == {"+15005550010": 1, "+15005550003": 1, "+15005550004": 1}


async def test_refusals_are_counted_for_each_job_and_survive_a_restart(bench, sandbox) -> None:
    first, second = message("+15005550004", "a-0"), message("+15005550004", "b-0")
    assert isinstance((await sandbox().send([first]))[0], Retry)
    assert isinstance((await sandbox().send([second]))[0], Retry)
    assert isinstance((await sandbox().send([first]))[0], Accepted)


async def test_it_looks_nothing_up_unless_its_account_says_so(bench, sandbox) -> None:
    await sandbox().send([message("+14155550123")])
    assert await sandbox().look_up(["ref-+14155550123"]) is None
    assert await sandbox(lookup=True).look_up(["ref-+14155550123", "ref-other"]) == {"ref-+14155550123": Accepted(None)}


async def test_receipts_come_back_signed_through_the_callback_door(bench, sandbox, door) -> None:
    addresses = ["+14155550123", "+15005550002", "+15005550005", "+15005550007", "+15005550008", "+15005550010"]
    await sandbox().send([message(address) for address in addresses])
    assert await play(bench, door) == 6
    assert door.unsigned == 0
    assert set(door.events) == {
        ("ref-+14155550123", "delivered"),
        ("ref-+15005550002", "undelivered"),
        ("ref-+15005550007", "delivered"),
        ("ref-+15005550007", "reply"),
        ("ref-+15005550008", "delivered"),
        ("ref-+15005550008", "reply"),
    }
    receipts = sandbox().parse_receipt(CallbackRequest({}, {}, "application/json", door.bodies[0]))
    by_reference = {(receipt.reference, receipt.message or receipt.engagement): receipt for receipt in receipts}
    assert by_reference["ref-+15005550002", MessageState.UNDELIVERED].suppress is SuppressionReason.HARD_BOUNCE
    assert by_reference["ref-+15005550007", Engagement.UNSUBSCRIBED].suppress is SuppressionReason.STOP
    assert by_reference["ref-+15005550008", Engagement.REPLIED].suppress is None
    assert await play(bench, door) == 0


async def test_receipts_wait_their_delay(bench, sandbox, door) -> None:
    await sandbox().send([message("+14155550123")])
    async with aiohttp.ClientSession() as session:
        assert await playback(bench, door).play(session) == 0


async def test_receipts_wait_while_the_door_is_shut_and_outlive_a_restart(bench, sandbox, door) -> None:
    await sandbox().send([message("+14155550123")])
    door.status = 503
    bench.clock.advance(timedelta(seconds=2))
    player = playback(bench, door)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(DoorShutError):
            await player.play(session)
    await bench.execute("UPDATE sandbox_playback SET lease = '-infinity'")
    door.status = 200
    assert await play(bench, door) == 1
    assert set(door.events) == {("ref-+14155550123", "delivered")}


async def test_a_door_that_refuses_for_good_is_believed_in_the_end(bench, sandbox, door) -> None:
    await sandbox().send([message("+14155550123")])
    door.status = 404
    with pytest.raises(DoorShutError):
        await play(bench, door)
    await bench.execute("UPDATE sandbox_playback SET lease = '-infinity'")
    bench.clock.advance(timedelta(minutes=1))
    assert await play(bench, door) == 1


async def test_one_copy_plays_at_a_time(bench, sandbox, door) -> None:
    await sandbox().send([message("+14155550123")])
    bench.clock.advance(timedelta(seconds=2))
    one, other = playback(bench, door), playback(bench, door)
    async with aiohttp.ClientSession() as session:
        assert await one.play(session) == 1
        await sandbox().send([message("+14155550124")])
        bench.clock.advance(timedelta(seconds=2))
        assert await other.play(session) == 0
        assert await one.play(session) == 1


async def test_a_message_of_a_transaction_that_commits_late_is_not_passed_over(bench, sandbox, door) -> None:
    async with bench.database.transaction() as connection:
        await connection.execute("SELECT pg_current_xact_id()")
        await sandbox().send([message("+14155550123")])
        assert await play(bench, door) == 0
    await bench.execute("UPDATE sandbox_playback SET lease = '-infinity'")
    assert await play(bench, door) == 1


async def test_the_order_of_transactions_is_that_of_numbers_and_not_of_their_digits(bench, sandbox, door) -> None:
    provider = sandbox()
    await bench.execute("UPDATE sandbox_playback SET transaction_id = '0', call_id = 0")
    for name, transaction in (("first", "99"), ("second", "100")):
        await provider.send([message(f"{name}@sandbox.test")])
        await bench.execute(
            "UPDATE sandbox_calls SET transaction_id = $1::text::xid8 WHERE id = "
            "(SELECT call_id FROM sandbox_messages WHERE address = $2)",
            transaction,
            f"{name}@sandbox.test",
        )
    bench.clock.advance(timedelta(seconds=2))
    await provider.send([message("third@sandbox.test")])
    async with aiohttp.ClientSession() as session:
        player = playback(bench, door)
        assert await player.play(session) == 2
        bench.clock.advance(timedelta(seconds=2))
        assert await player.play(session) == 1
    assert [reference for reference, _ in door.events] == [
        f"ref-{name}@sandbox.test" for name in ("first", "second", "third")
    ]


async def test_many_receipts_travel_in_a_few_calls(bench, sandbox, door) -> None:
    for first in range(0, 1200, 50):
        await sandbox().send([message(f"+1415555{n:04d}") for n in range(first, first + 50)])
    assert await play(bench, door) == 1200
    assert len(door.bodies) == 3
    assert sum(door.events.values()) == 1200


async def test_an_engaged_reader_opens_and_clicks_and_another_unsubscribes(bench, sandbox, door) -> None:
    html = (
        '<a href="https://public.example/c/click.token">Go</a><a href="https://public.example/c/second.token">Go</a>'
        '<img src="https://public.example/o/open.token.gif">'
    )
    headers = {"List-Unsubscribe": "<https://public.example/u/leave.token>"}
    content = EmailMessage("Hi", html, "Hi", None, None, None, headers)
    addresses = ["engaged@sandbox.test", "optout@sandbox.test", "complaint@sandbox.test", "bounce@sandbox.test"]
    await sandbox().send([message(address, content=content) for address in addresses])
    await play(bench, door, Channel.EMAIL)
    assert door.followed == ["GET /o/open.token.gif", "GET /c/click.token", "POST /u/leave.token"]
    assert set(door.events) == {
        ("ref-engaged@sandbox.test", "delivered"),
        ("ref-optout@sandbox.test", "delivered"),
        ("ref-complaint@sandbox.test", "delivered"),
        ("ref-complaint@sandbox.test", "complained"),
        ("ref-bounce@sandbox.test", "bounced"),
    }


async def test_a_reader_without_an_unsubscribe_link_complains_to_the_provider(bench, sandbox, door) -> None:
    content = EmailMessage("Hi", None, "Hi", None, None, None)
    await sandbox().send([message("optout@sandbox.test", content=content)])
    await play(bench, door, Channel.EMAIL)
    assert ("ref-optout@sandbox.test", "unsubscribed") in door.events


async def test_the_loop_plays_until_it_is_told_to_stop(bench, sandbox, door, until) -> None:
    player = playback(bench, door)
    stop = asyncio.Event()
    running = asyncio.create_task(player.run(stop))
    await sandbox().send([message("+14155550123")])
    bench.clock.advance(timedelta(seconds=2))
    player.wake()
    await until(lambda: door.bodies)
    stop.set()
    await asyncio.wait_for(running, 30)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"receipts": [{}]}', b'{"receipts": [{"references":["r"],"event":"x","at":1}]}']
)
async def test_a_callback_that_is_none_cannot_be_read(bench, sandbox, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"sandbox|unexpected|JSON|object"):
        sandbox().parse_receipt(CallbackRequest({}, {}, "application/json", body))
