"""How much of an account a kill can leave in doubt.

What is claimed and not recorded when a worker dies is uncertain, and where a message twice is worse than none it is
given up. So of such messages one command at a time passes from its claim to its record, for each account in one worker:
a kill leaves one wave in doubt, however many commands are under way. What comes before and after, and what may be sent
again, needs no turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sluice_contracts.vocabulary import Category


class Turnstile:
    """Lets `commands` at once pass for each account, in the order in which they come."""

    def __init__(self, commands: int = 1) -> None:
        self._commands = commands
        self._turns: dict[UUID, asyncio.Semaphore] = {}
        self._present: Counter[UUID] = Counter()

    @asynccontextmanager
    async def passage(self, account_id: UUID | None, category: Category) -> AsyncIterator[None]:
        """Have one's turn with an account until the context is left; nobody waits for essential messages."""
        if account_id is None or category.is_essential:
            yield
            return
        turn = self._turns.setdefault(account_id, asyncio.Semaphore(self._commands))
        self._present[account_id] += 1
        try:
            async with turn:
                yield
        finally:
            self._present[account_id] -= 1
            if not self._present[account_id]:
                del self._present[account_id], self._turns[account_id]
