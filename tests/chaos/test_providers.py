"""The harness's own providers: what they got is in their journals, whatever mood they were in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtplib import SMTP, SMTPException, SMTPRecipientsRefused
from twilio.request_validator import RequestValidator

from chaos.carrier import Carrier
from chaos.journal import Journal, Mood
from chaos.relay import Relay

TOKEN = "hush"
SMS = {"To": "+14152000001", "Body": "10 % off mark:abcdefghijkl"}
MAIL = "Subject: 10 % off mark:abcdefghijkl\r\n\r\nHello\r\n"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "journal.jsonl", "north", "sms")) as opened:
        yield opened


@pytest.fixture
async def carrier(journal: Journal) -> AsyncIterator[Carrier]:
    async with Carrier(journal, TOKEN) as running:
        yield running


@pytest.fixture
async def relay(journal: Journal) -> AsyncIterator[Relay]:
    async with Relay(journal) as running:
        yield running


async def text(carrier: Carrier, callback: str = "http://127.0.0.1:9/") -> int:
    url = f"{carrier.account(1)['config']['base_url']}/2010-04-01/Accounts/AC/Messages.json"
    form = {**SMS, "StatusCallback": callback}
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
        return answer.status


async def mail(relay: Relay, seconds: float = 60.0) -> None:
    client = SMTP(hostname="127.0.0.1", port=relay.account(1)["config"]["port"], start_tls=False, timeout=seconds)
    async with client:
        await client.sendmail("news@sender.test", ["ada@example.test"], MAIL)


async def test_what_a_carrier_takes_is_in_its_journal_and_its_receipt_is_signed_as_twilio_does(
    carrier: Carrier, journal: Journal
) -> None:
    receipts: asyncio.Queue[tuple[dict[str, str], str]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        await receipts.put(({name: str(value) for name, value in (await request.post()).items()}, str(request.url)))
        signatures.append(request.headers["X-Twilio-Signature"])
        return web.Response()

    signatures: list[str] = []
    application = web.Application()
    application.router.add_post("/{path:.*}", take)
    async with TestServer(application) as door:
        assert await text(carrier, str(door.make_url("/callbacks/sms/1?ref=abc"))) == 201
        form, url = await asyncio.wait_for(receipts.get(), 60)
    assert form["MessageStatus"] == "delivered"
    assert RequestValidator(TOKEN).validate(url, form, signatures[0])
    (got,) = journal.read()
    assert (got.workspace, got.channel, got.mark, got.address) == ("north", "sms", "abcdefghijkl", "+14152000001")
    assert got.answered


@pytest.mark.parametrize(("mood", "status"), [(Mood.REFUSING, 503), (Mood.THROTTLING, 429)])
async def test_a_carrier_that_takes_nothing_writes_down_whom_it_sent_away(
    carrier: Carrier, journal: Journal, mood: Mood, status: int
) -> None:
    carrier.mood = mood
    assert await text(carrier) == status
    assert not list(journal.read())
    assert [(away.channel, away.address) for away in journal.deferrals()] == [("sms", SMS["To"])]


async def test_a_silent_carrier_has_the_message_and_hangs_up(carrier: Carrier, journal: Journal) -> None:
    carrier.mood = Mood.SILENT
    calling = asyncio.create_task(text(carrier))
    async with asyncio.timeout(60):
        while not list(journal.read()):  # noqa: ASYNC110 (a file: no event)
            await asyncio.sleep(0.01)
    assert not calling.done()
    carrier.mood = Mood.WELL
    with pytest.raises(aiohttp.ClientError):
        await calling
    assert [got.answered for got in journal.read()] == [False]


async def test_what_a_relay_takes_is_in_its_journal(relay: Relay, journal: Journal) -> None:
    await mail(relay)
    (got,) = journal.read()
    assert (got.mark, got.address, got.answered) == ("abcdefghijkl", "ada@example.test", True)


@pytest.mark.parametrize("mood", [Mood.REFUSING, Mood.THROTTLING, Mood.SILENT])
async def test_a_relay_in_a_bad_mood_takes_nothing_and_is_well_again_afterwards(
    relay: Relay, journal: Journal, mood: Mood
) -> None:
    await relay.turn(mood)
    with pytest.raises((SMTPException, OSError)):
        await mail(relay, seconds=0.5)
    assert not list(journal.read())
    await relay.turn(Mood.WELL)
    await mail(relay)
    assert [got.answered for got in journal.read()] == [True]


async def test_a_relay_that_throttles_asks_a_caller_who_is_in_already_to_come_back_later(
    relay: Relay, journal: Journal
) -> None:
    client = SMTP(hostname="127.0.0.1", port=relay.account(1)["config"]["port"], start_tls=False, timeout=60)
    async with client:
        await relay.turn(Mood.THROTTLING)
        with pytest.raises(SMTPRecipientsRefused) as refused:
            await client.sendmail("news@sender.test", ["ada@example.test"], MAIL)
    assert refused.value.recipients[0].code == 451
    assert not list(journal.read())
    assert [away.address for away in journal.deferrals()] == ["ada@example.test"]
