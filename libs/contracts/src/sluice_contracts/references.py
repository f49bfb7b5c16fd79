"""The signed reference that a provider or a link carries back to us: which job, in which round.

Eight bytes of keyed signature make it impossible to forge a receipt or a click for somebody else's message, and
lower-case base32 survives every place that it has to travel through: URLs, header values, and the local part of an
email address (64 characters, RFC 5321 §4.5.3.1.1, and not reliably case-preserving).

All jobs of a page are signed at once: their signatures are the places of one keyed stream of pseudo-random bytes, so
that knowing some says nothing about the others, and a signature costs next to nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import lru_cache
from hashlib import shake_256
from struct import Struct
from typing import Final, NamedTuple
from uuid import UUID

from sluice_contracts.identifiers import PAGE_SIZE

_STREAM: Final = Struct(f">{PAGE_SIZE}Q")
_SIGNATURE_MASK: Final = (1 << 64) - 1
_LAST_ROUND: Final = 0xFFFF

# Thirty bytes: execution 16, round 2, position 4, signature 8. They are cut where both halves are whole characters: in
# front what nearly all jobs of a page share, behind it the position's low half and the signature.
_HEAD_BYTES: Final = 20
_HEAD_CHARACTERS: Final = _HEAD_BYTES * 8 // 5
_TAIL_BITS: Final = 80
_CHARACTERS: Final = _HEAD_CHARACTERS + _TAIL_BITS // 5

# Base32 by way of one large integer and pairs of characters: the standard library's loop would be the dearest part of
# a message.
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_HEAD_SHIFTS: Final = range(_HEAD_BYTES * 8 - 10, -1, -10)
_DIGITS: Final = "".join(
    "0123456789abcdefghijklmnopqrstuv"[_ALPHABET.index(character)] if character in _ALPHABET else "!"
    for character in (chr(code).lower() for code in range(128))
)
"""For `str.translate`: what stands for itself in base 32 to `int`; anything else becomes what `int` refuses."""

_PAGES_REMEMBERED: Final = 512


class ForgedReferenceError(ValueError):
    """The text is not a reference that this installation has signed."""


class JobReference(NamedTuple):
    """One job as it was commanded in one round."""

    execution_id: UUID
    seq: int
    round: int


class _Head(NamedTuple):
    execution_id: UUID
    execution: bytes
    round: int
    high: int


def sign_reference(reference: JobReference, key: bytes) -> str:
    """Return 48 characters of [a-z2-7] that `read_reference` takes back under the same `key`."""
    return sign_references(reference.execution_id, reference.round, [reference.seq], key)[0]


def sign_references(execution_id: UUID, round_number: int, seqs: Sequence[int], key: bytes) -> list[str]:
    """Return the references of many jobs of one execution in one round; cheap where they lie on one page."""
    execution, round_number = execution_id.bytes, min(round_number, _LAST_ROUND)
    pairs = _PAIRS
    texts: list[str] = []
    page = high = -1
    for seq in seqs:
        if seq // PAGE_SIZE != page or seq >> 16 != high:
            page, high = seq // PAGE_SIZE, seq >> 16
            head, signatures = _head(execution, round_number, high), _signatures(key, execution, round_number, page)
        tail = (seq & 0xFFFF) << 64 | signatures[seq % PAGE_SIZE]
        texts.append(
            f"{head}"
            f"{pairs[tail >> 70]}{pairs[tail >> 60 & 1023]}{pairs[tail >> 50 & 1023]}{pairs[tail >> 40 & 1023]}"
            f"{pairs[tail >> 30 & 1023]}{pairs[tail >> 20 & 1023]}{pairs[tail >> 10 & 1023]}{pairs[tail & 1023]}"
        )
    return texts


def read_reference(text: str, key: bytes) -> JobReference:
    """Read a reference back.

    Raises ForgedReferenceError when it was not signed with `key`.
    """
    if len(text) != _CHARACTERS or not text.isascii():
        raise ForgedReferenceError("not a reference")
    try:
        execution_id, execution, round_number, high = _read_head(text[:_HEAD_CHARACTERS])
        tail = int(text[_HEAD_CHARACTERS:].translate(_DIGITS), 32)
    except ValueError as error:
        raise ForgedReferenceError("not a reference") from error
    seq = high << 16 | tail >> 64
    signature = _signatures(key, execution, round_number, seq // PAGE_SIZE)[seq % PAGE_SIZE]
    if not hmac.compare_digest(signature.to_bytes(8, "big"), (tail & _SIGNATURE_MASK).to_bytes(8, "big")):
        raise ForgedReferenceError("the reference's signature is not ours")
    return JobReference(execution_id, seq, round_number)


@lru_cache(maxsize=_PAGES_REMEMBERED)
def _signatures(key: bytes, execution: bytes, round_number: int, page: int) -> tuple[int, ...]:
    """The signatures of a page's jobs, in order."""
    body = key + execution + round_number.to_bytes(2, "big") + page.to_bytes(4, "big")
    return _STREAM.unpack(shake_256(body).digest(_STREAM.size))


@lru_cache(maxsize=_PAGES_REMEMBERED)
def _head(execution: bytes, round_number: int, high: int) -> str:
    number = int.from_bytes(execution + round_number.to_bytes(2, "big") + high.to_bytes(2, "big"), "big")
    return "".join([_PAIRS[number >> shift & 1023] for shift in _HEAD_SHIFTS])


@lru_cache(maxsize=_PAGES_REMEMBERED)
def _read_head(text: str) -> _Head:
    raw = int(text.translate(_DIGITS), 32).to_bytes(_HEAD_BYTES, "big")
    return _Head(UUID(bytes=raw[:16]), raw[:16], int.from_bytes(raw[16:18], "big"), int.from_bytes(raw[18:], "big"))
