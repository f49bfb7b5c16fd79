"""What recipients do with a message: noted without delay, never by accident, and nowhere else than we signed."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any

import pytest

from ingest.handlers.engagements import Engagements
from ingest.handlers.tracking import PIXEL
from sluice_channel.tracking import LinkKind, Links, TrackedLink, sign_link
from sluice_contracts.messages.receipt import TrackingReceived
from sluice_contracts.vocabulary import Channel, Engagement
from sluice_runtime.secrets import TRACKING_LINKS, derive_key

KEY = derive_key(b"s" * 32, TRACKING_LINKS)
REFERENCE = "a" * 48
LINKS = Links("", KEY)
PERSON = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


async def published(service: Any) -> list[TrackingReceived]:
    """Let the queue empty itself and return what came out."""
    stop = asyncio.Event()
    stop.set()
    await service.engagements.run(stop)
    return [receipt for receipt in service.publisher.receipts() if isinstance(receipt, TrackingReceived)]


async def test_an_opened_message_gets_the_pixel_and_is_noted(service: Any) -> None:
    answer = await service.client.get(LINKS.open_pixel(Channel.EMAIL, REFERENCE), headers=PERSON)
    body = await answer.read()
    assert (answer.status, answer.content_type) == (200, "image/gif")
    assert body == b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
    assert len(body) == 42
    assert answer.headers["Cache-Control"] == "no-store, no-cache, private, max-age=0"
    [event] = await published(service)
    assert event == TrackingReceived(
        channel=Channel.EMAIL,
        received_at=service.clock.now(),
        reference=REFERENCE,
        engagement=Engagement.OPENED,
    )
    [record] = service.publisher.records
    assert (record.topic, record.key) == ("receipts.email", REFERENCE.encode())


@pytest.mark.parametrize("token", ["x", "x.y", "%00", "a" * 9000, "é.é"])
async def test_a_mail_program_gets_its_pixel_whatever_it_asks_with(service: Any, token: str) -> None:
    answer = await service.client.get(f"/o/{token}.gif")
    if token == "%00":
        assert answer.status in {200, 422}
        return
    if len(token) > 8000:
        assert answer.status in {200, 400}
        return
    assert (answer.status, await answer.read()) == (200, PIXEL)
    assert await published(service) == []


@pytest.mark.parametrize(
    ("headers", "by_machine"),
    [
        (PERSON, False),
        ({"User-Agent": "Mozilla/5.0"}, True),
        (
            {"User-Agent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"},
            True,
        ),
        ({"User-Agent": ""}, True),
        ({**PERSON, "Sec-Purpose": "prefetch"}, True),
    ],
)
async def test_what_a_machine_opens_is_flagged_and_kept(service: Any, headers: Any, by_machine: bool) -> None:
    await service.client.get(LINKS.open_pixel(Channel.EMAIL, REFERENCE), headers=headers)
    [event] = await published(service)
    assert event.by_machine is by_machine


async def test_a_click_is_noted_and_leads_to_where_we_signed(service: Any) -> None:
    destination = "https://example.com/ü?a=1&b=%20#c"
    path = LINKS.click(Channel.EMAIL, REFERENCE, 2, destination)
    answer = await service.client.get(path, headers=PERSON, allow_redirects=False)
    assert answer.status == 302
    assert answer.headers["Location"] == "https://example.com/%C3%BC?a=1&b=%20#c"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    [event] = await published(service)
    assert (event.engagement, event.link) == (Engagement.CLICKED, destination)


async def test_asking_for_the_head_of_a_link_counts_for_nothing(service: Any) -> None:
    for path in (LINKS.open_pixel(Channel.EMAIL, REFERENCE), LINKS.click(Channel.EMAIL, REFERENCE, 1, "https://e.com")):
        answer = await service.client.head(path, headers=PERSON, allow_redirects=False)
        assert answer.status in {200, 302}
    assert await published(service) == []


@pytest.mark.parametrize("door", ["c", "u"])
async def test_a_link_that_is_not_ours_or_of_another_kind_leads_nowhere(service: Any, door: str) -> None:
    opened = sign_link(TrackedLink(LinkKind.OPEN, Channel.EMAIL, REFERENCE), KEY)
    forged = sign_link(TrackedLink(LinkKind(door), Channel.EMAIL, REFERENCE, 1, "https://e.com"), b"o" * 32)
    for token in (opened, forged, "x"):
        answer = await service.client.get(f"/{door}/{token}", allow_redirects=False)
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert (await service.client.post(f"/u/{forged}")).status == 404
    assert await published(service) == []


async def test_looking_at_the_unsubscribe_page_unsubscribes_nobody(service: Any) -> None:
    answer = await service.client.get(LINKS.unsubscribe(Channel.EMAIL, REFERENCE), headers=PERSON)
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert '<form method="post">' in await answer.text()
    assert await published(service) == []


@pytest.mark.parametrize("multipart", [False, True])
async def test_one_click_unsubscribes_at_once(service: Any, multipart: bool) -> None:
    path = LINKS.unsubscribe(Channel.EMAIL, REFERENCE)
    if multipart:
        body = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
    else:
        body, headers = b"List-Unsubscribe=One-Click", {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await service.client.post(path, data=body, headers=headers)
    assert answer.status == 200
    [event] = service.publisher.receipts()
    assert event.engagement is Engagement.UNSUBSCRIBED
    assert event.by_machine is False


async def test_an_unsubscription_that_cannot_be_stored_is_not_promised(service: Any) -> None:
    service.publisher.away = True
    assert (await service.client.post(LINKS.unsubscribe(Channel.EMAIL, REFERENCE))).status == 503


async def test_a_page_never_waits_for_the_broker_and_nothing_is_lost_when_it_comes_back(service: Any) -> None:
    service.publisher.away = True
    stop = asyncio.Event()
    running = asyncio.create_task(service.engagements.run(stop))
    for _ in range(3):
        assert (await service.client.get(LINKS.open_pixel(Channel.EMAIL, REFERENCE), headers=PERSON)).status == 200
    service.publisher.away = False
    stop.set()
    await running
    assert len(service.publisher.receipts()) == 3


async def test_a_full_queue_drops_the_oldest(service: Any) -> None:
    queue = Engagements(service.publisher, 2)
    events = [
        TrackingReceived(
            channel=Channel.EMAIL,
            received_at=service.clock.now(),
            reference=f"{place}",
            engagement=Engagement.OPENED,
        )
        for place in range(4)
    ]
    stop = asyncio.Event()
    stop.set()
    service.publisher.away = True
    for event in events[:3]:
        queue.add(event)
    await queue.run(stop)
    service.publisher.away = False
    queue.add(events[3])
    await queue.run(stop)
    assert [receipt.reference for receipt in service.publisher.receipts()] == ["2", "3"]
