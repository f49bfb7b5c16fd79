"""What every call that holds many items does with them, whichever door it came through."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final, TypeVar

from pydantic_core import to_json

from ingest.domain.acceptance import Acceptance
from ingest.handlers.intake import Intake
from ingest.handlers.sends import count_accepted, record_of
from sluice_runtime.http.bodies import DEFAULT_BODY_LIMIT
from sluice_runtime.http.problems import Problem, invalid

TURN: Final = 25
"""Items after which the loop is given to others: a bulk call must not hold up an OTP."""

T = TypeVar("T")


async def in_turns(items: Iterable[T], length: int = TURN) -> AsyncIterator[tuple[int, T]]:
    """Yield (place, item), and let others have the loop once in every `length` items."""
    for place, item in enumerate(items):
        if place % length == length - 1:
            await asyncio.sleep(0)
        yield place, item


def misshapen(item: Any, *, measured: bool) -> Problem | None:
    """Return what is wrong with an item before its fields are read; its size counts where it is `measured`."""
    if not isinstance(item, dict):
        return invalid([{"field": "", "message": "must be an object"}])
    if measured and len(to_json(item)) > DEFAULT_BODY_LIMIT:
        return Problem(413, "Too large", f"An event may have at most {DEFAULT_BODY_LIMIT} bytes.")
    return None


async def append_accepted(intake: Intake, accepted: Sequence[Acceptance]) -> None:
    """Append the triggers of a call together, and count them. Raises as `Intake.append` does."""
    if accepted:
        await intake.append([record_of(acceptance) for acceptance in accepted])
    for lane, count in Counter(acceptance.lane for acceptance in accepted).items():
        count_accepted(lane, count)
