"""What operators do meanwhile: cancel triggers, pause them for a while, and try again what failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any, Final

from chaos.caller import AWAY, Caller
from chaos.history import FINAL_TRIGGERS, Act

_AGAIN_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 1.0
_REST_SECONDS: Final = (5.0, 25.0)
_NOT_YET: Final = 404

_TAKEN_UP_SECONDS: Final = 90.0

Ledger = Mapping[str, Any]
Note = Callable[[Act, str], None]
"""Takes down what was asked, accepted or shown, now."""


class Operator:
    """Asks until somebody answers, and looks until it shows."""

    def __init__(self, caller: Caller, random: Random, note: Note) -> None:
        self._caller = caller
        self._random = random
        self._note = note

    async def do(self, act: Act, trigger_id: str, linger: float) -> None:
        """Do to a trigger what was meant for it, after `linger` seconds; what is tried again has to be over."""
        if act is Act.RETRY:
            await self._retry(trigger_id)
            return
        await asyncio.sleep(linger)
        if await self._ask(act, trigger_id):
            await self._shows(trigger_id, lambda ledger: is_over(ledger) or (act is Act.PAUSE and ledger["paused"]))
            self._note(act, "shown")
        if act is Act.PAUSE:
            await asyncio.sleep(self._random.uniform(*_REST_SECONDS))
            await self._ask(Act.RESUME, trigger_id)

    async def _retry(self, trigger_id: str) -> None:
        before = await self._shows(trigger_id, is_over)
        if await self._ask(Act.RETRY, trigger_id):
            # Until somebody takes it up, the trigger looks as it did.
            with suppress(TimeoutError):
                async with asyncio.timeout(_TAKEN_UP_SECONDS):
                    await self._shows(trigger_id, lambda ledger: bool(ledger["failed"] < before["failed"]))

    async def _ask(self, act: Act, trigger_id: str) -> bool:
        """Return whether it was accepted; it is not where there is nothing to do it to any more."""
        self._note(act, "asked")
        while True:
            answer = await self._caller.call("POST", f"/api/v1/triggers/{trigger_id}/{act}", {})
            if answer.status not in {*AWAY, _NOT_YET}:
                break
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * _AGAIN_SECONDS)
        if answer.status == 202:
            self._note(act, "accepted")
        return answer.status == 202

    async def _shows(self, trigger_id: str, is_so: Callable[[Ledger], bool]) -> Ledger:
        """Return the ledger of a trigger once it is as it should be."""
        while True:
            answer = await self._caller.call("GET", f"/api/v1/triggers/{trigger_id}/ledger")
            if answer.status == 200 and is_so(answer.body):
                return dict(answer.body)
            await asyncio.sleep(_LOOK_SECONDS)


def is_over(ledger: Ledger) -> bool:
    """Whether nothing more happens to a trigger by itself."""
    return ledger["status"] in FINAL_TRIGGERS
