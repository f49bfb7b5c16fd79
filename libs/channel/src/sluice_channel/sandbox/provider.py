"""The sandbox as a provider: it writes down what it got inside the send call, then does as the address asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from sluice_catalog.models import ProviderAccount
from sluice_channel.persistence import surely
from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    CallbackRequest,
    EmailMessage,
    Limits,
    OutboundMessage,
    Outcome,
    Receipt,
    RejectRecipient,
    RenderedMessage,
    Retry,
    SmsMessage,
)
from sluice_channel.sandbox import receipts
from sluice_channel.sandbox.behaviours import ACCEPTING, REFUSALS, Behaviour, behaviour_of
from sluice_contracts.vocabulary import Channel, SuppressionReason
from sluice_runtime.clock import Clock
from sluice_storage import statements
from sluice_storage.database import Database, encode_json

BATCH: Final = 50
CONCURRENCY: Final = 8

_sql = statements.load("sluice_channel", "sandbox.sql")


class SandboxProvider:
    """One sandbox account of any channel.

    `config`: lookup (true: it can say what it got, which few real providers can), from.
    """

    name = "sandbox"

    def __init__(
        self, account: ProviderAccount, database: Database, clock: Clock, on_kept: Callable[[], None] = lambda: None
    ) -> None:
        self.channel: Channel = account.channel
        self.limits = Limits(batch=BATCH, concurrency=CONCURRENCY, rate_per_second=account.rate_per_second)
        self._account = account
        self._database = database
        self._clock = clock
        self._on_kept = on_kept

    async def send(self, messages: Sequence[OutboundMessage]) -> Sequence[Outcome]:
        behaviours = [behaviour_of(message.address) for message in messages]
        special = {place: kind for place, kind in enumerate(behaviours) if kind is not Behaviour.DELIVERED}
        refused = await self._refused(messages, special)
        identifiers = os.urandom(8 * len(messages)).hex()
        outcomes: list[Outcome] = [
            Accepted(identifiers[first : first + 16]) for first in range(0, len(identifiers), 16)
        ]
        accepted = [True] * len(messages)
        for place, behaviour in special.items():
            accepted[place] = behaviour in ACCEPTING or (behaviour in REFUSALS and place not in refused)
            outcomes[place] = _outcome(behaviour, place in refused, outcomes[place])
        await self._keep(messages, accepted, special)
        self._on_kept()
        return outcomes

    async def look_up(self, references: Sequence[str]) -> Mapping[str, Outcome] | None:
        if not self._account.config.get("lookup"):
            return None
        async with self._database.connection() as connection:
            rows = await connection.fetch(_sql.kept_by_reference, self._account.id, list(references))
        return {row["reference"]: Accepted(None) for row in rows if row["accepted"]}

    def parse_receipt(self, request: CallbackRequest) -> Sequence[Receipt]:
        return receipts.read(request.body)

    async def close(self) -> None:
        """Nothing is held open."""

    async def _refused(self, messages: Sequence[OutboundMessage], special: Mapping[int, Behaviour]) -> set[int]:
        """Return the places of those that are refused this time, and count it."""
        places = {messages[place].job_id: place for place, kind in special.items() if kind in REFUSALS}
        if not places:
            return set()
        now = self._clock.now()

        async def count() -> dict[str, int]:
            async with self._database.connection() as connection:
                rows = await connection.fetch(_sql.refuse, list(places), now)
            return {row["job_id"]: row["refusals"] for row in rows}

        counts = await surely(count)
        return {place for job_id, place in places.items() if counts[job_id] <= REFUSALS[special[place]]}

    async def _keep(
        self, messages: Sequence[OutboundMessage], accepted: Sequence[bool], special: Mapping[int, Behaviour]
    ) -> None:
        token, trigger_id, now = uuid4(), UUID(messages[0].trigger_id), self._clock.now()
        columns = self._columns(messages, accepted, special)
        first_try = True

        async def keep() -> None:
            nonlocal first_try
            async with self._database.connection() as connection:
                if not first_try and await connection.fetchval(
                    _sql.is_kept, self._account.workspace_id, trigger_id, token
                ):
                    return
                first_try = False
                await connection.execute(
                    _sql.keep, token, self._account.workspace_id, self._account.id, now, trigger_id, *columns
                )

        await surely(keep)

    def _columns(
        self, messages: Sequence[OutboundMessage], accepted: Sequence[bool], special: Mapping[int, Behaviour]
    ) -> list[Sequence[Any] | None]:
        """Return what `keep` takes behind the call's own facts: a column each, None for one of the usual alone."""
        references, job_ids, _, addresses, contents, _, attempts = zip(*messages, strict=True)
        subjects, texts, bodies, headers = zip(*map(_parts, contents), strict=True)
        return [
            job_ids,
            references,
            addresses,
            _unless_all(1, attempts),
            _unless_all(True, accepted),
            [special.get(place) for place in range(len(messages))] if special else None,
            _unless_all(None, list(map(self._sender, messages))),
            _unless_all(None, subjects),
            _unless_all(None, texts),
            _unless_all(None, bodies),
            _unless_all(None, headers),
        ]

    def _sender(self, message: OutboundMessage) -> str | None:
        config = self._account.config
        sender = message.sender or config.get("from")
        if isinstance(message.content, EmailMessage):
            return message.content.from_email or config.get("from_email") or sender
        return sender


def _unless_all(usual: object, column: Sequence[Any]) -> Sequence[Any] | None:
    return None if column.count(usual) == len(column) else column


def _parts(content: RenderedMessage) -> tuple[str | None, str | None, str | None, str | None]:
    """Return the subject, the text, the HTML and the headers (as JSON) of a message, as Postgres can hold them."""
    if isinstance(content, SmsMessage):
        return None, _storable(content.text), None, None
    if isinstance(content, EmailMessage):
        headers = encode_json(dict(content.headers))
        return _storable(content.subject), _storable(content.text), _storable(content.html), headers
    return None, _storable(content.preview), None, None


def _storable(text: str | None) -> str | None:
    """PostgreSQL's text holds any character but NUL."""
    return text if text is None or "\x00" not in text else text.replace("\x00", "\ufffd")


def _outcome(behaviour: Behaviour, refused: bool, otherwise: Outcome) -> Outcome:
    match behaviour:
        case Behaviour.INVALID:
            return RejectRecipient("invalid", "The address does not exist", SuppressionReason.HARD_BOUNCE)
        case Behaviour.FLAKY if refused:
            return Retry("503", "Service unavailable")
        case Behaviour.THROTTLED if refused:
            return Retry("429", "Too many requests", after=1.0, burns_attempt=False)
        case Behaviour.AMBIGUOUS:
            return Ambiguous("The connection broke after the request was sent")
        case _:
            return otherwise
