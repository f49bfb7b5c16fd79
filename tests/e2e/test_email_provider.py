"""Email through a relay, from the accepted send to bounces that come back, with what recipients do in between."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from html import unescape
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from api_client import wait_until
from bounces import bounce, complaint
from relay import Mail, Relay
from sluice_local.processes import free_port
from sluice_local.stack import Stack
from tenant import Tenant, new_tenant

pytestmark = pytest.mark.e2e

CALLBACK_TOKEN: Final = "bounces-come-with-this"
BROWSER: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
}
GMAIL_PROXY: Final = {"User-Agent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko (via ggpht.com GoogleImageProxy)"}
DESTINATION: Final = "https://shop.example/sale?size=10&color=blue#top"
HTML: Final = (
    "<html><body><p>Hello {{ name }}</p>"
    '<a href="https://shop.example/sale?size=10&amp;color=blue#top">Sale</a>'
    '<a href="mailto:help@shop.example">Help</a>'
    '<a href="https://shop.example/terms" data-notrack>Terms</a>'
    '<a href="{{ unsubscribe_url }}">Leave</a></body></html>'
)
LONGEST_WAIT: Final = timedelta(minutes=16)
"""Longer than a message ever waits between two tries."""

ONE_CLICK: Final = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def tenant(stack: Stack) -> AsyncIterator[Tenant]:
    async with new_tenant(stack) as made:
        yield made


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Correspondent:
    """Somebody with a mailbox behind the relay."""

    external_id: str
    address: str


async def relayed(tenant: Tenant, port: int, **config: Any) -> str:
    """Let the tenant's email leave through a relay; return the account's id."""
    settings = {
        "host": "127.0.0.1", "port": port, "tls": "none", "from_email": "news@sender.test", "from_name": "Sender & Co",
        "bounce_domain": "bounces.sender.test", **config,
    }  # fmt: skip
    return await tenant.account("smtp", settings, {"callback_token": CALLBACK_TOKEN}, channel="email")


async def somebody(tenant: Tenant) -> Correspondent:
    address = f"ada.{uuid4().hex[:8]}@example.test"
    return Correspondent(await tenant.contact(email=address), address)


async def bring_back(tenant: Tenant, account_id: str, report: bytes, token: str | None = CALLBACK_TOKEN) -> int:
    """Post a mail that came back to the return path to the account's door; return the HTTP status."""
    query = "" if token is None else f"?token={token}"
    path, headers = f"/callbacks/email/{account_id}{query}", {"Content-Type": "message/rfc822"}
    async with tenant.public.post(path, data=report, headers=headers) as answer:
        return answer.status


async def mail_of(relay: Relay, address: str) -> Mail:
    async def has_arrived() -> bool:
        return bool(relay.to(address))

    await wait_until(has_arrived)
    (mail,) = relay.to(address)
    return mail


def links(mail: Mail) -> list[str]:
    return [unescape(link) for link in re.findall(r'href="([^"]*)"', mail.part("html"))]


def unsubscribe_link(mail: Mail) -> str:
    """Return the only address of List-Unsubscribe."""
    (link,) = re.findall(r"<([^<>]+)>", str(mail.message["List-Unsubscribe"]))
    return str(link)


async def test_a_marketing_mail_is_well_formed_tracked_and_can_be_left_with_one_click(
    tenant: Tenant, relay: Relay
) -> None:
    await relayed(tenant, relay.port)
    ada = await somebody(tenant)
    template = await tenant.template("email", subject="Grüße {{ name }}", html=HTML)
    trigger = await tenant.send("email", ada.external_id, "marketing", template_key=template)
    mail = await mail_of(relay, ada.address)

    message = mail.message
    assert not message.defects
    assert message["Subject"] == "Grüße Ada L"
    assert message["To"] == ada.address
    assert message["From"] == "Sender & Co <news@sender.test>" or message["From"] == '"Sender & Co" <news@sender.test>'
    assert message["Message-ID"].endswith("@sender.test>")
    assert parsedate_to_datetime(str(message["Date"])).tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"
    assert re.fullmatch(r"b\+[a-z2-7]{48}@bounces\.sender\.test", mail.return_path)
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))

    html, base = mail.part("html"), tenant.stack.base_url
    assert "Hello Ada L" in html
    tracked, *others, leave = links(mail)
    assert tracked.startswith(f"{base}/c/")
    assert others == ["mailto:help@shop.example", "https://shop.example/terms"]
    assert leave == unsubscribe_link(mail)
    assert leave.startswith(f"{base}/u/")
    assert re.search(rf'<img src="{base}/o/[^"]+\.gif" width="1" height="1"[^>]*></body></html>\s*$', html)
    assert "Hello Ada L" in mail.part("plain")
    for path in (tracked, leave, html):
        assert ada.address not in path

    job = await tenant.final(trigger, ada.external_id)
    assert (job["status"], job["message_status"], job["provider_id"]) == ("sent", "sent", "4XYZ")


async def test_only_marketing_offers_to_leave_and_a_code_is_not_tracked_at_all(tenant: Tenant, relay: Relay) -> None:
    await relayed(tenant, relay.port)
    content = {"subject": "Hello", "content": '<p>Hi</p><a href="https://example.test/x">x</a>'}
    for category, is_tracked in (("authentication", False), ("transactional", True)):
        ada = await somebody(tenant)
        await tenant.send("email", ada.external_id, category, **content)
        mail = await mail_of(relay, ada.address)
        assert mail.message["List-Unsubscribe"] is None
        assert mail.message["List-Unsubscribe-Post"] is None
        assert ("/o/" in mail.part("html")) is is_tracked
        assert (links(mail) != ["https://example.test/x"]) is is_tracked


async def test_an_account_can_leave_the_unsubscribe_headers_to_its_relay(tenant: Tenant, relay: Relay) -> None:
    await relayed(tenant, relay.port, unsubscribe=False)
    ada = await somebody(tenant)
    await tenant.send("email", ada.external_id, "marketing", subject="Sale", content="<p>Hi</p>")
    assert "List-Unsubscribe" not in (await mail_of(relay, ada.address)).message


async def test_opens_and_clicks_of_people_count_and_those_of_machines_do_not(tenant: Tenant, relay: Relay) -> None:
    await relayed(tenant, relay.port)
    ada = await somebody(tenant)
    trigger = await tenant.send("email", ada.external_id, "marketing", subject="Sale", content=HTML)
    mail = await mail_of(relay, ada.address)
    click, pixel = links(mail)[0], re.findall(r'<img src="([^"]+)"', mail.part("html"))[0]

    for link in (pixel, click):
        async with tenant.public.head(link, headers=BROWSER, allow_redirects=False) as answer:
            assert answer.status in {200, 302}
        async with tenant.public.get(link, headers=GMAIL_PROXY, allow_redirects=False) as answer:
            assert answer.status in {200, 302}
    async with tenant.public.get(pixel, headers=BROWSER) as answer:
        assert (answer.status, answer.content_type) == (200, "image/gif")
        assert "no-store" in answer.headers["Cache-Control"]
        assert (await answer.read()).startswith(b"GIF89a")
    # What follows one message's links keeps its order, so whatever was before is counted by now.
    analytics = await tenant.analytics(trigger, opened=1)
    assert analytics["clicked"] == 0

    for _ in range(2):
        async with tenant.public.get(click, headers=BROWSER, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, DESTINATION)
            assert answer.headers["Referrer-Policy"] == "no-referrer"
    analytics = await tenant.analytics(trigger, opened=1, clicked=1)
    assert analytics["sent"] == 1
    job = await tenant.job(trigger, ada.external_id)
    assert job["engagements"] == ["opened", "clicked"]

    async with tenant.public.get(click[:-1] + ("A" if click[-1] != "A" else "B"), allow_redirects=False) as answer:
        assert answer.status == 404


async def test_looking_at_the_unsubscribe_link_changes_nothing_and_one_click_does(tenant: Tenant, relay: Relay) -> None:
    await relayed(tenant, relay.port)
    ada = await somebody(tenant)
    content = {"subject": "Sale", "content": HTML}
    first = await tenant.send("email", ada.external_id, "marketing", **content)
    link = unsubscribe_link(await mail_of(relay, ada.address))

    async with tenant.public.get(link, headers=BROWSER) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "<form" in await answer.text()
    second = await tenant.send("email", ada.external_id, "marketing", **content)
    assert (await tenant.final(second, ada.external_id))["status"] == "sent"
    assert (await tenant.direct(first))["analytics"]["unsubscribed"] == 0

    async with tenant.public.post(link, data=ONE_CLICK, allow_redirects=False) as answer:
        assert answer.status == 200
    await tenant.analytics(first, unsubscribed=1)
    third = await tenant.send("email", ada.external_id, "marketing", **content)
    job = await tenant.final(third, ada.external_id)
    assert (job["status"], job["filter_code"]) == ("filtered", "preference_category_off")
    receipt = await tenant.send("email", ada.external_id, "transactional", **content)
    assert (await tenant.final(receipt, ada.external_id))["status"] == "sent"
    assert len(relay.to(ada.address)) == 3


async def test_a_bounce_that_comes_back_counts_and_a_hard_one_suppresses(tenant: Tenant, relay: Relay) -> None:
    account = await relayed(tenant, relay.port)
    hard, soft, late = [await somebody(tenant) for _ in range(3)]
    content = {"subject": "Sale", "content": "<p>Hi</p>"}
    sent = {one: await tenant.send("email", one.external_id, "marketing", **content) for one in (hard, soft, late)}
    mails = {one: await mail_of(relay, one.address) for one in sent}
    unknown = bounce(mails[hard], "5.1.1", diagnostic="550 5.1.1 no such user here")

    assert await bring_back(tenant, account, unknown, token=None) == 403
    assert await bring_back(tenant, account, unknown, token="guessed") == 403
    waiting = bounce(mails[late], "4.4.1", action="delayed", diagnostic="connect to mx.far.test: timed out")
    assert await bring_back(tenant, account, waiting) == 200
    full = bounce(mails[soft], "4.2.2", diagnostic="452 4.2.2 mailbox full")
    assert await bring_back(tenant, account, full) == 200
    assert (await tenant.analytics(sent[soft], bounced=1))["awaiting_receipt"] == 0
    assert (await tenant.direct(sent[hard]))["analytics"]["bounced"] == 0
    assert await tenant.suppressed("email") == {}

    for _ in range(2):
        assert await bring_back(tenant, account, unknown) == 200
    await tenant.analytics(sent[hard], bounced=1, sent=1)
    job = await tenant.job(sent[hard], hard.external_id)
    assert (job["status"], job["message_status"], job["message_code"]) == ("sent", "bounced", "5.1.1")
    assert "no such user" in job["message_reason"]
    assert await tenant.suppressed("email") == {hard.address: "hard_bounce"}
    again = await tenant.send("email", hard.external_id, "transactional", **content)
    assert (await tenant.final(again, hard.external_id))["filter_code"] == "suppressed_hard_bounce"
    assert (await tenant.direct(sent[late]))["analytics"]["bounced"] == 0


async def test_a_bounce_to_the_sender_itself_is_matched_by_the_mail_that_it_encloses(
    tenant: Tenant, relay: Relay
) -> None:
    account = await relayed(tenant, relay.port, bounce_domain=None)
    ada = await somebody(tenant)
    trigger = await tenant.send("email", ada.external_id, "marketing", subject="Sale", content="<p>Hi</p>")
    mail = await mail_of(relay, ada.address)
    assert mail.return_path == "news@sender.test"
    report = bounce(mail, "5.1.1", diagnostic="550 5.1.1 no such user here")
    assert await bring_back(tenant, account, report) == 200
    await tenant.analytics(trigger, bounced=1)


async def test_somebody_who_calls_it_spam_is_not_written_to_again(tenant: Tenant, relay: Relay) -> None:
    account = await relayed(tenant, relay.port)
    ada = await somebody(tenant)
    content = {"subject": "Sale", "content": "<p>Hi</p>"}
    trigger = await tenant.send("email", ada.external_id, "marketing", **content)
    assert await bring_back(tenant, account, complaint(await mail_of(relay, ada.address))) == 200
    await tenant.analytics(trigger, complained=1)
    assert await tenant.suppressed("email") == {ada.address: "complaint"}


async def test_a_greylisting_relay_gets_the_message_again_after_five_minutes(tenant: Tenant, relay: Relay) -> None:
    await relayed(tenant, relay.port)
    ada = await somebody(tenant)
    relay.answers[ada.address] += ["450 4.2.0 greylisted, come back later"]
    trigger = await tenant.send("email", ada.external_id, "transactional", subject="Bill", content="<p>Hi</p>")
    held = await tenant.job(trigger, ada.external_id, lambda job: job["status"] == "held")
    assert (held["hold_code"], held["attempts"]) == ("retry", 1)
    tenant.stack.advance_clock(timedelta(seconds=301))
    job = await tenant.final(trigger, ada.external_id)
    assert (job["status"], job["attempts"]) == ("sent", 2)
    attempts = [(event["event"], event["attempt"]) for event in job["timeline"] if event["kind"] == "job"]
    assert ("held", 1) in attempts
    assert ("sent", 2) in attempts
    assert any("greylisted" in (event["reason"] or "") for event in job["timeline"])
    assert len(relay.to(ada.address)) == 1


async def test_an_address_that_the_relay_does_not_know_is_failed_and_suppressed(tenant: Tenant, relay: Relay) -> None:
    await relayed(tenant, relay.port)
    ada = await somebody(tenant)
    relay.answers[ada.address] += ["550 5.1.1 no such user here"]
    content = {"subject": "Bill", "content": "<p>Hi</p>"}
    trigger = await tenant.send("email", ada.external_id, "transactional", **content)
    job = await tenant.final(trigger, ada.external_id)
    assert (job["status"], job["failure_code"], job["attempts"]) == ("failed", "recipient_rejected", 1)
    assert "5.1.1" in job["failure_reason"]
    assert await tenant.suppressed("email") == {ada.address: "hard_bounce"}
    again = await tenant.send("email", ada.external_id, "transactional", **content)
    assert (await tenant.final(again, ada.external_id))["filter_code"] == "suppressed_hard_bounce"
    assert relay.asked.count(ada.address) == 1


@pytest.mark.parametrize("size", [1, 30])
async def test_nothing_is_lost_while_the_relay_is_away_for_an_hour_and_a_half(
    tenant: Tenant, relay: Relay, size: int
) -> None:
    relay.stop()
    await relayed(tenant, relay.port)
    tag = uuid4().hex[:8]
    people = [{"email": f"person{place}.{tag}@example.test"} for place in range(size)]
    *_, last = await tenant.contacts(tag, people)
    trigger = await tenant.broadcast("email", tag, "marketing", subject="Sale", content="<p>Hi</p>")
    for _ in range(6):  # more often than a message is handed over
        waiting = await tenant.job(trigger, last, lambda job: job["status"] in {"held", "failed"})
        assert waiting["status"] == "held", waiting
        tenant.stack.advance_clock(LONGEST_WAIT)

        async def was_tried(before: str = waiting["held_until"]) -> bool:
            job = await tenant.job(trigger, last)
            return bool(job["status"] != "held" or job["held_until"] != before)

        await wait_until(was_tried)
    relay.start()
    tenant.stack.advance_clock(LONGEST_WAIT)
    over = await tenant.api.finished(trigger)
    assert over["summary"]["sent"] == size
    assert Counter(mail.recipient for mail in relay.mails) == Counter(one["email"] for one in people)


@pytest.fixture
def sink() -> Iterator[tuple[int, Path]]:
    """Postfix's smtp-sink, which pipelines, and the file into which it writes every mail."""
    program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("smtp-sink is missing: install Postfix")
        pytest.skip("smtp-sink is missing: it comes with Postfix")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # the sink gives up being root
        port, mails = free_port(), Path(folder) / "mails"
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        process = subprocess.Popen([program, *user, "-D", str(mails), f"127.0.0.1:{port}", "100"])
        try:
            yield port, mails
        finally:
            process.terminate()
            process.wait(timeout=30)


async def test_two_thousand_people_get_their_mail_once_each_over_a_relay_that_pipelines(
    tenant: Tenant, sink: tuple[int, Path]
) -> None:
    port, mails = sink
    await relayed(tenant, port)
    tag = uuid4().hex[:8]
    await tenant.contacts(tag, [{"email": f"person{place}@example.test"} for place in range(2000)])
    template = await tenant.template("email", subject="Sale {{ email }}", html=HTML)
    trigger = await tenant.broadcast("email", tag, "marketing", template_key=template)
    over = await tenant.api.finished(trigger, 60)
    assert over["summary"]["sent"] == 2000
    text = mails.read_text()
    recipients = Counter(re.findall(r"^X-Rcpt-Args: <([^>]+)>", text, re.MULTILINE))
    assert recipients == Counter(f"person{place}@example.test" for place in range(2000))
    assert len(set(re.findall(r"^Message-ID: (\S+)", text, re.MULTILINE))) == 2000
