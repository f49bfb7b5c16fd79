"""The SMTP provider against servers of other people: aiosmtpd and Postfix's smtp-sink."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import uvloop
from aiosmtpd import smtp as server_side
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

from channel_email.providers.smtp.provider import SmtpProvider
from sluice_catalog.models import ProviderAccount
from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    EmailMessage,
    OutboundMessage,
    RejectAccount,
    RejectRecipient,
    Retry,
)
from sluice_contracts.vocabulary import Channel
from sluice_local.processes import free_port

NOBODY = UUID(int=0)


def account(port: int, **config: Any) -> ProviderAccount:
    settings = {"host": "127.0.0.1", "port": port, "tls": "none", "from_email": "news@sender.test"} | config
    return ProviderAccount(NOBODY, NOBODY, Channel.EMAIL, "smtp", "relay", settings, {"password": "right"})


def message(address: str, number: int = 0, text: str = "Hello\n.\n..dots\n") -> OutboundMessage:
    content = EmailMessage(f"Hello {number}", "<p>Hello</p>", text, None, None, None, {})
    return OutboundMessage(f"{number:a>48}".replace("0", "a"), f"job-{number}", "trigger", address, content)


@asynccontextmanager
async def provider_for(port: int, **config: Any) -> AsyncIterator[SmtpProvider]:
    provider = SmtpProvider(account(port, **config))
    try:
        yield provider
    finally:
        await provider.close()


class Inbox:
    """Keeps what it is given, and refuses whom it is told to."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.broken = False

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: server_side.SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("gone"):
            return "550 5.1.1 no such user here"
        if address.startswith("grey"):
            return "450 4.2.0 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: server_side.SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if any(address.startswith("breaks") for address in envelope.rcpt_tos):
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "250 nobody reads this"
        self.mails.append(envelope)
        return "250 2.0.0 Ok: queued as 4XYZ"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    handler = Inbox()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), ready_timeout=60.0)
    controller.start()
    try:
        yield handler, controller.port
    finally:
        controller.stop()


@pytest.fixture
def sink() -> Iterator[int]:
    program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("smtp-sink is missing: install Postfix")
        pytest.skip("smtp-sink is missing: it comes with Postfix")
    port = free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "100"])
    try:
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


async def connected(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


async def test_a_batch_arrives_whole_and_each_recipient_has_its_own_outcome(inbox: tuple[Inbox, int]) -> None:
    handler, port = inbox
    batch = [message("a@x.test", 1), message("gone@x.test", 2), message("grey@x.test", 3), message("b@x.test", 4)]
    async with provider_for(port) as provider:
        outcomes = await provider.send(batch)
    assert [type(outcome) for outcome in outcomes] == [Accepted, RejectRecipient, Retry, Accepted]
    assert [mail.rcpt_tos for mail in handler.mails] == [["a@x.test"], ["b@x.test"]]
    raw = handler.mails[0].content
    assert isinstance(raw, bytes)
    assert b"Hello\r\n.\r\n..dots\r\n" in raw


def test_mail_goes_out_on_the_loop_that_services_run_on_too(inbox: tuple[Inbox, int]) -> None:
    handler, port = inbox

    async def send() -> Any:
        async with provider_for(port) as provider:
            return await provider.send([message("a@x.test", 1), message("b@x.test", 2)])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcomes = runner.run(send())
    assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted]
    assert len(handler.mails) == 2


async def test_the_queue_id_of_the_relay_is_kept(inbox: tuple[Inbox, int]) -> None:
    async with provider_for(inbox[1]) as provider:
        (outcome,) = await provider.send([message("a@x.test")])
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id == "4XYZ"


async def test_only_the_message_in_doubt_is_ambiguous_when_the_connection_breaks(inbox: tuple[Inbox, int]) -> None:
    handler, port = inbox
    async with provider_for(port) as provider:
        outcomes = await provider.send([message("a@x.test", 1), message("breaks@x.test", 2), message("b@x.test", 3)])
        assert [type(outcome) for outcome in outcomes] == [Accepted, Ambiguous, Retry]
        (again,) = await provider.send([message("b@x.test", 3)])
    assert isinstance(again, Accepted)
    assert [mail.rcpt_tos for mail in handler.mails] == [["a@x.test"], ["b@x.test"]]


async def test_a_relay_that_is_not_there_is_waited_for() -> None:
    async with provider_for(free_port()) as provider:
        (outcome,) = await provider.send([message("a@x.test")])
    assert isinstance(outcome, Retry)
    assert outcome.scope == "connection"


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_wrong_password_stops_the_account() -> None:
    def deny(*_: Any) -> AuthResult:
        return AuthResult(success=False, handled=False)

    controller = Controller(
        Inbox(),
        hostname="127.0.0.1",
        port=free_port(),
        ready_timeout=60.0,
        authenticator=deny,
        auth_required=True,
        auth_require_tls=False,
    )
    controller.start()
    try:
        async with provider_for(controller.port, username="ada") as provider:
            (outcome,) = await provider.send([message("a@x.test")])
    finally:
        controller.stop()
    assert isinstance(outcome, RejectAccount)


async def test_a_pipelining_server_takes_many_batches_over_few_connections(sink: int) -> None:
    await connected(sink)
    async with provider_for(sink, connections=2) as provider:
        batches = [
            [message(f"p{number}@x.test", number) for number in range(start, start + 50)]
            for start in range(0, 1000, 50)
        ]
        outcomes = [outcome for batch in await asyncio.gather(*map(provider.send, batches)) for outcome in batch]
    assert Counter(type(outcome) for outcome in outcomes) == {Accepted: 1000}


async def test_a_hostile_address_reaches_no_server(inbox: tuple[Inbox, int]) -> None:
    handler, port = inbox
    async with provider_for(port) as provider:
        (outcome,) = await provider.send([message("a@x.test>\r\nRCPT TO:<victim@x.test")])
    assert isinstance(outcome, RejectRecipient)
    assert handler.mails == []
