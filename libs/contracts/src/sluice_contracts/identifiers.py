"""Identifiers: new ones in time order, derived ones that come out the same on every machine and every repeat.

A job has no identifier of its own beside its place: it is (execution, seq), where seq is the contact's position in
the trigger's cohort. The same contact has the same seq in every step and channel of one trigger. Positions are cut into
pages of `PAGE_SIZE`; a page of one execution is the unit in which work is commanded, claimed and reported.
"""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache
from hashlib import sha1
from typing import Final, NamedTuple
from uuid import UUID, SafeUUID

PAGE_SIZE: Final = 200
"""Positions in a page, and so the most jobs in one command. Stored sequences depend on it: never change it."""

_JOB_ID: Final = re.compile(r"([0-9a-f]{32})-(0|[1-9][0-9]{0,9})")
_LAST_SEQ: Final = 2**31 - 1
_UUID_VARIANT: Final = 0x2 << 62
_UUID5: Final = 0x5 << 76 | _UUID_VARIANT
_UUID7: Final = 0x7 << 76 | _UUID_VARIANT
_ALL_ELSE: Final = ~(0xF << 76 | 0x3 << 62)
"""The bits of a UUID that say neither its version nor its variant."""

_UNKNOWN: Final = SafeUUID.unknown


def new_id(now_seconds: float | None = None) -> UUID:
    """Return a UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    return new_ids(1, now_seconds)[0]


def new_ids(count: int, now_seconds: float | None = None) -> list[UUID]:
    """Return so many UUIDv7 of one moment."""
    milliseconds = int((time.time() if now_seconds is None else now_seconds) * 1000) & 0xFFFF_FFFF_FFFF
    fixed = milliseconds << 80 | _UUID7
    random = os.urandom(10 * count)
    return [
        _uuid(int.from_bytes(random[start : start + 10], "big") & _ALL_ELSE | fixed)
        for start in range(0, len(random), 10)
    ]


def derived_id(namespace: UUID, name: str) -> UUID:
    """Return the UUIDv5 (RFC 9562 §5.5) of `name` in `namespace`."""
    return _uuid(_derived(namespace, name.encode()))


def _derived(namespace: UUID, name: bytes) -> int:
    digest = sha1(namespace.bytes + name, usedforsecurity=False).digest()
    return int.from_bytes(digest[:16], "big") & _ALL_ELSE | _UUID5


def _uuid(value: int) -> UUID:
    """Return the UUID with this number. Its own constructor first looks for five other forms: three times as long."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", value)
    object.__setattr__(made, "is_safe", _UNKNOWN)
    return made


def trigger_id_for_key(workspace_id: UUID, idempotency_key: str) -> UUID:
    """Return the trigger that a caller's key names: the same request sent twice is the same trigger."""
    return derived_id(workspace_id, f"trigger:{idempotency_key}")


def trigger_id_for_rule(event_id: UUID, rule_id: UUID) -> UUID:
    """Return the trigger by which a rule answers an event: the same event again is the same trigger."""
    return derived_id(event_id, str(rule_id))


def execution_id_for(trigger_id: UUID, step_order: int, channel: str) -> UUID:
    """Return the execution of one channel inside one step. Steps count from 1."""
    return _uuid(_derived(trigger_id, _execution_name(step_order, channel)))


def first_job_of(trigger_id: UUID, channel: str) -> str:
    """Return the public id of the first job of a trigger's first step: `JobId` of that execution, without making it."""
    return f"{_derived(trigger_id, _execution_name(1, channel)):032x}-0"


@lru_cache(maxsize=1024)
def _execution_name(step_order: int, channel: str) -> bytes:
    return f"execution:{step_order}:{channel}".encode()


def page_of(seq: int) -> int:
    """Return the page that position `seq` lies on."""
    return seq // PAGE_SIZE


class JobId(NamedTuple):
    """A job's place; `str()` gives the public form `<execution hex>-<seq>`."""

    execution_id: UUID
    seq: int

    def __str__(self) -> str:
        return self.text(self.execution_id, self.seq)

    @staticmethod
    def text(execution_id: UUID, seq: int) -> str:
        """Return the public form of a place, for lists of many: without making the place itself."""
        return f"{execution_id.hex}-{seq}"

    @classmethod
    def parse(cls, text: str) -> JobId:
        """Read the public form back. A job has one: leading zeros, signs and positions beyond 2³¹ are no part of it.

        Raises ValueError when `text` is not one.
        """
        match = _JOB_ID.fullmatch(text)
        if match is None or int(match[2]) > _LAST_SEQ:
            raise ValueError(f"{text!r} is not a job id")
        return cls(UUID(hex=match[1]), int(match[2]))
