"""Cutting what is to be done in one go into portions of bounded weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def portions(items: Iterable[Item], weight: Callable[[Item], int], most: int) -> Iterator[list[Item]]:
    """Yield `items` in their order, in portions that weigh at most `most` together.

    An item that weighs more by itself is a portion of its own.
    """
    portion: list[Item] = []
    total = 0
    for item in items:
        if portion and total + weight(item) > most:
            yield portion
            portion, total = [], 0
        portion.append(item)
        total += weight(item)
    if portion:
        yield portion
