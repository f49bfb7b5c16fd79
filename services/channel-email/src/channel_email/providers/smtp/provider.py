"""The SMTP provider: a pool of pipelined sessions to one relay."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException, SMTPResponseException

from channel_email.providers.smtp.bounces import read_report
from channel_email.providers.smtp.conversation import Envelope
from channel_email.providers.smtp.mime import UnsafeAddressError, checked_address, compose
from channel_email.providers.smtp.replies import Reply, outcome_of_refusal
from channel_email.providers.smtp.session import Session
from sluice_catalog.models import ProviderAccount
from sluice_channel.provider import (
    CallbackRequest,
    EmailMessage,
    Limits,
    OutboundMessage,
    Outcome,
    Receipt,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
)
from sluice_contracts.vocabulary import Channel

BATCH: Final = 50
CONNECTIONS: Final = 4
MESSAGES_A_SESSION: Final = 5_000
"""After so many messages a session is closed: relays rotate their own connections, and so do we before they must."""

UNSUBSCRIBE_HEADERS: Final = frozenset({"List-Unsubscribe", "List-Unsubscribe-Post"})
IDLE_SECONDS: Final = 60.0
ASK_AFTER_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 15.0


class SmtpProvider:
    """Hands email to one relay.

    `config`: host, port, tls ("none", "starttls", "implicit"), username, from_email, from_name, reply_to,
    bounce_domain (return paths become `b+<reference>@bounce_domain`), connections, unsubscribe (False: the relay adds
    the headers itself). `secrets`: password; callback_token is for the door where bounces come back.
    """

    channel = Channel.EMAIL
    name = "smtp"

    def __init__(self, account: ProviderAccount) -> None:
        self._config: dict[str, Any] = account.config
        self._password = account.secrets.get("password")
        connections = int(self._config.get("connections") or CONNECTIONS)
        self.limits = Limits(BATCH, connections, spread=True, rate_per_second=account.rate_per_second)
        self._idle: list[Session] = []
        self._places = asyncio.Semaphore(connections)

    async def send(self, messages: Sequence[OutboundMessage]) -> Sequence[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(messages)
        envelopes: list[Envelope] = []
        places: list[int] = []
        for place, message in enumerate(messages):
            prepared = self._prepare(message)
            if isinstance(prepared, Envelope):
                envelopes.append(prepared)
                places.append(place)
            else:
                outcomes[place] = prepared
        if envelopes:
            async with self._places:
                delivered = await self._deliver(envelopes)
            for place, outcome in zip(places, delivered, strict=True):
                outcomes[place] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def _prepare(self, message: OutboundMessage) -> Envelope | Outcome:
        content = message.content
        if not isinstance(content, EmailMessage):
            return RejectMessage("wrong_content", "an SMTP account can only send email")
        if self._config.get("unsubscribe") is False:
            headers = {name: value for name, value in content.headers.items() if name not in UNSUBSCRIBE_HEADERS}
            content = content._replace(headers=headers)
        from_email = content.from_email or self._config.get("from_email")
        if not from_email:
            return RejectAccount("no_sender", "neither the message nor the provider account has a from_email")
        try:
            recipient = checked_address(message.address)
        except UnsafeAddressError as error:
            return RejectRecipient("5.1.3", str(error))
        try:
            body = compose(
                content,
                from_email=from_email,
                from_name=content.from_name or self._config.get("from_name"),
                reply_to=content.reply_to or self._config.get("reply_to"),
                to=recipient,
                identifier=message.reference,
                now=time.time(),
            )
        except ValueError as error:
            return RejectMessage("invalid_header", str(error))
        bounce_domain = self._config.get("bounce_domain")
        return_path = f"b+{message.reference}@{bounce_domain}" if bounce_domain else from_email
        return Envelope(return_path, recipient, body, message.reference)

    async def _deliver(self, envelopes: list[Envelope]) -> Sequence[Outcome]:
        try:
            session = await self._session()
        except SMTPAuthenticationError as error:
            return [RejectAccount(str(error.code), error.message)] * len(envelopes)
        except SMTPResponseException as error:
            return [_as_connection_fault(outcome_of_refusal(Reply(error.code, error.message)))] * len(envelopes)
        except ssl.SSLError as error:
            return [RejectAccount("tls", f"the relay's certificate or TLS settings do not fit: {error}")] * len(
                envelopes
            )
        except (SMTPException, OSError, TimeoutError) as error:
            fault = Retry("connection_failed", str(error) or "no answer", after=5.0, scope="connection")
            return [fault] * len(envelopes)
        outcomes = await session.deliver(envelopes)
        if session.is_open and session.delivered < MESSAGES_A_SESSION:
            self._idle.append(session)
        else:
            session.close()
        return outcomes

    async def _session(self) -> Session:
        now = asyncio.get_running_loop().time()
        while self._idle:
            session = self._idle.pop()
            idle = now - session.idle_since
            if not session.is_open or idle > IDLE_SECONDS:
                session.close()
            elif idle < ASK_AFTER_SECONDS or await session.is_alive():
                return session
        tls = self._config.get("tls", "starttls")
        client = SMTP(
            hostname=self._config["host"],
            port=int(self._config["port"]),
            username=self._config.get("username"),
            password=self._password,
            use_tls=tls == "implicit",
            start_tls=tls == "starttls",
            timeout=CONNECT_SECONDS,
        )
        return await Session.open(client)

    async def look_up(self, references: Sequence[str]) -> Mapping[str, Outcome] | None:
        return None

    def parse_receipt(self, request: CallbackRequest) -> Sequence[Receipt]:
        return read_report(request.body)

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _as_connection_fault(outcome: Outcome) -> Outcome:
    """A refusal before any message was offered is about the relay, never about a recipient."""
    if isinstance(outcome, Retry | RejectAccount):
        return outcome
    return (
        RejectAccount(outcome.code, outcome.detail) if isinstance(outcome, RejectMessage | RejectRecipient) else outcome
    )
