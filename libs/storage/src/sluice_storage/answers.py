"""Answers to requests with an idempotency key, in Postgres: asked where memory does not know, written in batches.

To ask for an answer is to claim its key, so that of two processes one answers a request, in the round trip that the
question takes. All services share answers, in a schema of their own: one workspace's key stands for one request,
whoever serves its path.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from time import monotonic
from typing import Final

import orjson
import structlog

from sluice_runtime.clock import Clock
from sluice_runtime.http.guard.answers import KEPT_FOR, Answer, Place, Verdict
from sluice_runtime.pausing import pause, pause_until_any
from sluice_runtime.secrets import SealedTextError, SecretBox, derive_key
from sluice_storage.database import Database
from sluice_storage.statements import load

SCHEMA: Final = "answers"
PACKAGE: Final = "sluice_storage"
"""What holds the migrations of `SCHEMA`."""

_PURPOSE: Final = "idempotent-answers"
_WAITING_BYTES: Final = 32 * 1024 * 1024
_OVERHEAD_BYTES: Final = 512
_MOST_ABANDONED: Final = 10_000
_BATCH: Final = 500
_ASK_SECONDS: Final = 0.5
_AWAY_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 1.0
_CLEAN_SECONDS: Final = 600.0
_CLAIMED_FOR: Final = timedelta(seconds=10)
"""Longer than a request takes. For so long a request whose process was killed is said to be under way."""

_log = structlog.get_logger()
_statements = load("sluice_storage", "answers.sql")


class PostgresAnswers:
    """Keeps answers for a day. While Postgres is away it knows nothing and holds up nobody.

    `secret` is the installation's, from which the key that seals the bodies is made. Invariant: answers that wait to be
    written take at most `_WAITING_BYTES`; the oldest go.
    """

    def __init__(self, database: Database, secret: bytes, clock: Clock) -> None:
        self._database = database
        self._box = SecretBox(derive_key(secret, _PURPOSE))
        self._clock = clock
        self._waiting: deque[tuple[Place, Answer]] = deque()
        self._waiting_bytes = 0
        self._abandoned: deque[Place] = deque(maxlen=_MOST_ABANDONED)
        self._filled = asyncio.Event()
        self._away_until = 0.0
        self._clean_at = 0.0

    async def claim(self, place: Place, fingerprint: bytes) -> Answer | Verdict:
        """Return the answer kept for `place`, or what to do: go ahead where Postgres is silent for half a second."""
        if monotonic() < self._away_until:
            return Verdict.GO_AHEAD
        now = self._clock.now()
        try:
            async with asyncio.timeout(_ASK_SECONDS), self._database.connection() as connection:
                row = await connection.fetchrow(
                    _statements.claim_key, *place, fingerprint, now - KEPT_FOR, now, now + _CLAIMED_FOR
                )
        except Exception as error:  # noqa: BLE001 - a store that fails must not fail the request that it would spare
            self._away_until = monotonic() + _AWAY_SECONDS
            _log.warning("answers.unreadable", error=type(error).__name__)
            return Verdict.GO_AHEAD
        if row is None:
            return Verdict.GO_AHEAD
        if row["status"] is None:
            return Verdict.IN_PROGRESS if row["fingerprint"] == fingerprint else Verdict.ANOTHER_REQUEST
        try:
            body = self._box.decrypt(row["body"]).encode()
        except SealedTextError:
            return Verdict.GO_AHEAD
        return Answer(row["fingerprint"], row["status"], row["headers"], body, row["answered_at"])

    def put(self, place: Place, answer: Answer) -> None:
        """Keep an answer, some moments later, in the place of the claim."""
        self._waiting.append((place, answer))
        self._waiting_bytes += len(answer.body) + _OVERHEAD_BYTES
        while self._waiting_bytes > _WAITING_BYTES:
            self._drop_oldest()
        self._filled.set()

    def abandon(self, place: Place) -> None:
        """Lift a claim that led to no answer, some moments later."""
        self._abandoned.append(place)
        self._filled.set()

    def _drop_oldest(self) -> None:
        _, answer = self._waiting.popleft()
        self._waiting_bytes -= len(answer.body) + _OVERHEAD_BYTES

    async def run(self, stop: asyncio.Event) -> None:
        """Write what is waiting until `stop` is set, and then what is left; forget what is older than a day."""
        while not stop.is_set():
            await pause_until_any(self._filled, stop, seconds=_CLEAN_SECONDS)
            if not await self._tried():
                await pause(_PAUSE_SECONDS, stop)
        await self._tried()

    async def _tried(self) -> bool:
        try:
            await self._write()
            await self._clean()
        except Exception as error:  # noqa: BLE001 - repeats are harmless without it: the service goes on
            _log.warning("answers.unwritten", count=len(self._waiting), error=type(error).__name__)
            return False
        return True

    async def _write(self) -> None:
        self._filled.clear()
        while self._waiting:
            batch = [self._waiting[place] for place in range(min(_BATCH, len(self._waiting)))]
            # One statement cannot touch a row twice; the first answer to a key is the one that counts.
            first = dict(reversed(batch))
            columns = zip(*(self._row(place, answer) for place, answer in first.items()), strict=True)
            async with self._database.connection() as connection:
                await connection.execute(_statements.keep_answers, *map(list, columns), self._clock.now() - KEPT_FOR)
            self._drop_written(batch)
        if self._abandoned:
            lifted = list(self._abandoned)
            self._abandoned.clear()
            async with self._database.connection() as connection:
                await connection.execute(_statements.lift_claims, *map(list, zip(*lifted, strict=True)))

    def _drop_written(self, batch: list[tuple[Place, Answer]]) -> None:
        """Drop what was written, unless so much came in meanwhile that it had to go already."""
        for entry in batch:
            if self._waiting and self._waiting[0] is entry:
                self._drop_oldest()

    def _row(self, place: Place, answer: Answer) -> tuple[object, ...]:
        sealed = self._box.encrypt(answer.body.decode())
        headers = orjson.dumps(dict(answer.headers)).decode()
        return (*place, answer.fingerprint, answer.status, headers, sealed, answer.at)

    async def _clean(self) -> None:
        if monotonic() < self._clean_at:
            return
        async with self._database.connection() as connection:
            await connection.execute(_statements.forget_answers, self._clock.now() - KEPT_FOR)
            await connection.execute(_statements.forget_claims, self._clock.now())
        self._clean_at = monotonic() + _CLEAN_SECONDS
