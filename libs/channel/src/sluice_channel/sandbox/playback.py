"""What comes after a message: receipts through the ordinary callback door, opens, clicks and unsubscribes by its links.

Played in the order in which messages were kept, by one copy at a time, from a position in the database: nothing is lost
when the door is shut or this process dies, and after either something may be played twice, as real providers do.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
import structlog

from sluice_channel import signatures
from sluice_channel.sandbox import receipts
from sluice_channel.sandbox.behaviours import Behaviour
from sluice_channel.sandbox.receipts import SandboxReceipt
from sluice_contracts.vocabulary import Channel
from sluice_runtime.clock import Clock
from sluice_runtime.pausing import pause, pause_until_any
from sluice_runtime.portions import portions
from sluice_storage import statements
from sluice_storage.database import Database
from sluice_storage.errors import is_transient

CALLBACK_SIZE: Final = 500
CALLS_IN_A_PAGE: Final = 100
GATHERING_SECONDS: Final = 0.25
"""How long to wait for more unless there is more already: a callback says five hundred things as easily as ten."""

LEASE_SECONDS: Final = 5.0
CALLS_AT_ONCE: Final = 4
GIVE_UP_AFTER: Final = timedelta(seconds=30)
"""How old a message is before a door that refuses its receipt (the account is gone, say) is believed."""

_BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
_IDLE_SECONDS: Final = 0.5
_LONGEST_PAUSE: Final = 5.0

_sql = statements.load("sluice_channel", "sandbox.sql")
_log = structlog.get_logger()


class DoorShutError(Exception):
    """The callback door did not take a receipt now; it may later."""


MessageNumber = tuple[int, int]
"""(call, place)."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where ingest is: `callbacks` for our calls, `public` as links in messages name it."""

    callbacks: str
    public: str

    def reach(self, link: str) -> str | None:
        """Return how to follow a link of ours from here, None for anybody else's."""
        if not link.startswith(f"{self.public}/"):
            return None
        return self.callbacks + link.removeprefix(self.public)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Messages of one call that are played back alike; `places` and `addresses` only where there is a behaviour."""

    transaction_id: str
    call_id: int
    at: datetime
    account_id: UUID
    accepted: bool
    behaviour: str | None
    references: list[str]
    places: list[int] | None
    addresses: list[str] | None

    def singly(self) -> Iterator[_Special]:
        """Yield each of them where their addresses ask for something."""
        if self.behaviour is not None and self.places is not None and self.addresses is not None:
            behaviour = Behaviour(self.behaviour)
            for place, reference, address in zip(self.places, self.references, self.addresses, strict=True):
                yield _Special((self.call_id, place), self.account_id, behaviour, reference, address)


@dataclass(frozen=True, slots=True)
class _Special:
    """A message whose address asks for something."""

    number: MessageNumber
    account_id: UUID
    behaviour: Behaviour
    reference: str
    address: str


class Playback:
    """Plays back the messages of one channel's sandbox accounts. `delay` after a message its receipts come."""

    def __init__(
        self, channel: Channel, database: Database, clock: Clock, doors: Doors, secret: bytes, delay: timedelta
    ) -> None:
        self._channel = channel
        self._database = database
        self._clock = clock
        self._doors = doors
        self._secret = secret
        self._delay = delay
        self._owner = uuid4()
        self._woken = asyncio.Event()
        self._is_behind = False
        self._places = asyncio.Semaphore(CALLS_AT_ONCE)

    def wake(self) -> None:
        """Say that there is something to play."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Play until `stop` is set. Fits `Service.loops`."""
        seconds = _IDLE_SECONDS
        timeout = aiohttp.ClientTimeout(total=15, connect=3)
        async with aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": _BROWSER}) as session:
            while not stop.is_set():
                try:
                    played = await self.play(session)
                    seconds = _IDLE_SECONDS
                except (DoorShutError, aiohttp.ClientError, TimeoutError) as error:
                    _log.warning("sandbox.door_shut", error=str(error) or type(error).__name__)
                    played, seconds = 0, min(seconds * 2, _LONGEST_PAUSE)
                except Exception as error:
                    if not is_transient(error):
                        raise
                    _log.warning("sandbox.playback_waits", error=type(error).__name__)
                    played, seconds = 0, min(seconds * 2, _LONGEST_PAUSE)
                if not played:
                    await self._rest(stop, seconds)
                elif not self._is_behind:
                    await pause(GATHERING_SECONDS, stop)

    async def play(self, session: aiohttp.ClientSession) -> int:
        """Play what is due; return how many messages that were.

        Raises DoorShutError, or what the client raises, where ingest does not take it: then nothing has moved on.
        """
        async with self._database.connection() as connection:
            position = await connection.fetchrow(_sql.play, self._owner, LEASE_SECONDS)
            if position is None:
                return 0
            rows = await connection.fetch(
                _sql.to_play, position["transaction_id"], position["call_id"], CALLS_IN_A_PAGE
            )
        now = self._clock.now()
        kept = [_Kept(**row) for row in rows]
        due = list(takewhile(lambda one: one.at <= now - self._delay, kept))
        self._is_behind = len({one.call_id for one in due}) == CALLS_IN_A_PAGE
        if not due:
            return 0
        await self._play(session, due, now)
        async with self._database.connection() as connection:
            await connection.execute(_sql.played, self._owner, due[-1].transaction_id, due[-1].call_id)
        return sum(len(one.references) for one in due)

    async def _play(self, session: aiohttp.ClientSession, kept: Sequence[_Kept], now: datetime) -> None:
        usual: defaultdict[UUID, list[str]] = defaultdict(list)
        special: list[_Special] = []
        for one in kept:
            if one.accepted and one.behaviour is None:
                usual[one.account_id] += one.references
            elif one.accepted:
                special += one.singly()
        contents = await self._contents(special)
        played = self._receipts(usual, special, contents, int(now.timestamp() * 1000))
        is_old = kept[-1].at < now - GIVE_UP_AFTER
        await asyncio.gather(
            *(
                self._post(session, account_id, callback, is_old)
                for account_id, entries in played.items()
                for callback in portions(entries, lambda entry: len(entry.references), CALLBACK_SIZE)
            )
        )
        for each in special:
            if each.number in contents:
                await self._act(session, each, contents[each.number])

    def _receipts(
        self,
        usual: Mapping[UUID, Sequence[str]],
        special: Sequence[_Special],
        contents: Mapping[MessageNumber, Mapping[str, Any]],
        at: int,
    ) -> Mapping[UUID, list[SandboxReceipt]]:
        """Return what is to be said of each account's messages."""
        by_account: defaultdict[UUID, list[SandboxReceipt]] = defaultdict(list)
        for account_id, references in usual.items():
            for first in range(0, len(references), CALLBACK_SIZE):
                some = references[first : first + CALLBACK_SIZE]
                by_account[account_id] += receipts.usual_receipts(self._channel, some, at)
        for one in special:
            by_account[one.account_id] += receipts.receipts_for(
                self._channel,
                one.behaviour,
                one.reference,
                one.address,
                at,
                can_unsubscribe=self._unsubscribe_link(contents.get(one.number)) is not None,
            )
        return by_account

    async def _post(
        self, session: aiohttp.ClientSession, account_id: UUID, played: Sequence[SandboxReceipt], is_old: bool
    ) -> None:
        body = receipts.write(played)
        secret = signatures.sandbox_secret(self._secret, account_id)
        headers = {
            "Content-Type": "application/json",
            signatures.SANDBOX_SIGNATURE: signatures.sandbox_signature(body, secret),
        }
        url = f"{self._doors.callbacks}/callbacks/{self._channel}/{account_id}"
        async with self._places, session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            if response.status < 300:
                return
            if is_old and 400 <= response.status < 500 and response.status != 429:
                _log.error("sandbox.receipts_refused", account=str(account_id), status=response.status)
                return
            raise DoorShutError(f"status {response.status}")

    async def _act(self, session: aiohttp.ClientSession, one: _Special, content: Mapping[str, Any]) -> None:
        """Do what a reader does: open the message, click its first link, or unsubscribe by its link."""
        if one.behaviour is Behaviour.ENGAGED:
            for kind in ("o", "c"):
                link = self._first_link(content["html"] or content["text"] or "", kind)
                if link is not None:
                    async with self._places, session.get(link, allow_redirects=False):
                        pass
        unsubscribe = self._unsubscribe_link(content)
        if one.behaviour is Behaviour.OPT_OUT and unsubscribe is not None:
            async with self._places, session.post(
                unsubscribe, data={"List-Unsubscribe": "One-Click"}, allow_redirects=False
            ):  # fmt: skip
                pass

    async def _contents(self, special: Sequence[_Special]) -> dict[MessageNumber, Mapping[str, Any]]:
        """Read the contents of those few messages whose reader does something with them."""
        acted_on = [one.number for one in special if one.behaviour in (Behaviour.ENGAGED, Behaviour.OPT_OUT)]
        if not acted_on:
            return {}
        calls, places = zip(*acted_on, strict=True)
        async with self._database.connection() as connection:
            rows = await connection.fetch(_sql.contents, calls, places)
        return {(row["call_id"], row["place"]): dict(row) for row in rows}

    def _first_link(self, text: str, kind: str) -> str | None:
        match = re.search(rf"{re.escape(self._doors.public)}/{kind}/[A-Za-z0-9._~-]+", html.unescape(text))
        return None if match is None else self._doors.reach(match[0])

    def _unsubscribe_link(self, content: Mapping[str, Any] | None) -> str | None:
        if content is None or not content["headers"]:
            return None
        match = re.search(r"<(https?://[^>]+)>", content["headers"].get("List-Unsubscribe", ""))
        return None if match is None else self._doors.reach(match[1])

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        """Wait for something to play, but no longer than `seconds`; then let its delay pass."""
        self._woken.clear()
        await pause_until_any(self._woken, stop, seconds=seconds)
        if not stop.is_set():
            await pause(self._delay.total_seconds(), stop)
