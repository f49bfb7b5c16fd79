"""What a caller's `Idempotency-Key` has already brought about: the answers of the last day, kept in memory.

Two calls with the same key at once are told apart here, and in two processes by the store. Where the store is away the
ids derived from the key make them the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, Protocol
from uuid import UUID

MAX_KEY_LENGTH: Final = 255
KEPT_FOR: Final = timedelta(hours=24)

Place = tuple[UUID, str]
"""A workspace, or one of its streams where the call is to that, and the key that the caller chose."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was given, with the fingerprint of the request that it answers."""

    fingerprint: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes
    at: datetime


class Verdict(Enum):
    """What to do with a request that carries a key, where there is no answer to give again."""

    GO_AHEAD = auto()
    ANOTHER_REQUEST = auto()
    IN_PROGRESS = auto()


class AnswerStore(Protocol):
    """Answers that outlive this process and are seen by the other processes that serve the API.

    Invariant: `claim` with GO_AHEAD is followed by exactly one `put` or `abandon` for the same place.
    """

    async def claim(self, place: Place, fingerprint: bytes) -> Answer | Verdict:
        """Return the answer kept for `place`, or what to do instead; GO_AHEAD where it cannot say within a moment.

        Never raises.
        """
        ...

    def put(self, place: Place, answer: Answer) -> None:
        """Keep an answer, some moments later."""
        ...

    def abandon(self, place: Place) -> None:
        """Note, some moments later, that a request has got no answer that is worth keeping."""
        ...


class AnswerBook:
    """Answers by place, the least recently used forgotten first once they are too many or too large.

    Invariant: `begin` with GO_AHEAD is followed by exactly one `finish` or `abandon` for the same place.
    """

    def __init__(self, max_answers: int, max_bytes: int) -> None:
        self._max_answers = max_answers
        self._max_bytes = max_bytes
        self._bytes = 0
        self._answers: OrderedDict[Place, Answer] = OrderedDict()
        self._running: dict[Place, bytes] = {}

    def find(self, place: Place, now: datetime) -> Answer | None:
        """Return the answer kept for `place`."""
        answer = self._answers.get(place)
        if answer is None:
            return None
        if now - answer.at >= KEPT_FOR:
            self._forget(place)
            return None
        self._answers.move_to_end(place)
        return answer

    def begin(self, place: Place, fingerprint: bytes, now: datetime) -> Answer | Verdict:
        """Return the answer to give again, or what to do instead."""
        answer = self.find(place, now)
        if answer is not None:
            return answer if answer.fingerprint == fingerprint else Verdict.ANOTHER_REQUEST
        running = self._running.get(place)
        if running is not None:
            return Verdict.IN_PROGRESS if running == fingerprint else Verdict.ANOTHER_REQUEST
        self._running[place] = fingerprint
        return Verdict.GO_AHEAD

    def finish(self, place: Place, answer: Answer) -> None:
        """Keep the first answer to a request."""
        self._running.pop(place, None)
        self.keep(place, answer)

    def abandon(self, place: Place) -> None:
        """Note that a request has got no answer that is worth keeping."""
        self._running.pop(place, None)

    def keep(self, place: Place, answer: Answer) -> None:
        """Keep an answer that was given earlier, or by another copy."""
        self._forget(place)
        self._answers[place] = answer
        self._bytes += len(answer.body)
        while len(self._answers) > self._max_answers or (self._bytes > self._max_bytes and len(self._answers) > 1):
            self._forget(next(iter(self._answers)))

    def _forget(self, place: Place) -> None:
        answer = self._answers.pop(place, None)
        if answer is not None:
            self._bytes -= len(answer.body)
