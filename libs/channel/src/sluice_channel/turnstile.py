"""How much of an account a kill can leave in doubt.

What is claimed and not recorded when a worker dies is uncertain, and where a message twice is worse than none it is
given up. So of such messages one command at a time passes from its claim to its record, for each account in one worker:
a kill leaves one wave in doubt, however many commands are under way. What comes before and after, and what may be sent
again, needs no turn.

Who leaves hands its last wave on to whoever passes next, who writes it down in the statement of its own claim.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sluice_channel.recording import UnrecordedWave
from sluice_contracts.vocabulary import Category


@dataclass(slots=True)
class Passage:
    """One's turn with an account. `unrecorded` is the wave in doubt, of this command or of the one before it."""

    unrecorded: UnrecordedWave | None = None

    async def record(self) -> None:
        """Have written down what is not. Raises TransientError while the database is away for too long."""
        if self.unrecorded is not None:
            await self.unrecorded.record()
            self.unrecorded = None


class Turnstile:
    """Lets `commands` at once pass for each account, in the order in which they come."""

    def __init__(self, commands: int = 1) -> None:
        self._commands = commands
        self._gates: dict[UUID, _Gate] = {}

    @asynccontextmanager
    async def passage(self, account_id: UUID | None, category: Category) -> AsyncIterator[Passage]:
        """Have one's turn with an account until the context is left; nobody waits for essential messages.

        What is unrecorded when it is left is handed on, or written down where nobody waits. Whoever is cancelled
        leaves it to the wave's own command.
        """
        if account_id is None or category.is_essential:
            passage = Passage()
            yield passage
            await passage.record()
            return
        gate = self._gates.setdefault(account_id, _Gate(self._commands))
        try:
            passage = Passage(await gate.enter())
            try:
                yield passage
                if not gate.is_awaited:
                    await passage.record()
            except Exception:
                await passage.record()
                raise
            finally:
                gate.leave(passage.unrecorded)
        finally:
            if gate.is_deserted:
                self._gates.pop(account_id, None)


class _Gate:
    """The turns of one account."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._free = places
        self._waiting: deque[asyncio.Future[UnrecordedWave | None]] = deque()

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a turn."""
        return bool(self._waiting)

    @property
    def is_deserted(self) -> bool:
        """Whether nobody has a turn or waits for one."""
        return self._free == self._places and not self._waiting

    async def enter(self) -> UnrecordedWave | None:
        """Wait for one's turn; return what whoever left has handed on."""
        if self._free:
            self._free -= 1
            return None
        turn: asyncio.Future[UnrecordedWave | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.leave(turn.result())
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def leave(self, unrecorded: UnrecordedWave | None) -> None:
        """Let the next one have its turn, with what is unrecorded."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                if unrecorded is not None:
                    unrecorded.hand_on()
                turn.set_result(unrecorded)
                return
        self._free += 1
        if unrecorded is not None:
            unrecorded.put_down()
