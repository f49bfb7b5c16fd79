"""Versions for those who poll: whoever asks while a query is under way is answered by the next one, all at once.

What is read is never older than the question. A thousand dashboards that poll cost the database a few queries at a
time, and not a thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from uuid import UUID

Asked = tuple[UUID, UUID]
"""A workspace and one of its triggers."""

Read = Callable[[Collection[Asked]], Awaitable[Mapping[Asked, int]]]
"""Reads the versions of all that are asked for; leaves out what is not there."""


class Versions:
    """Answers one question at a time with as few reads as it takes."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._waiting: dict[Asked, asyncio.Future[int | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def of(self, workspace_id: UUID, trigger_id: UUID) -> int | None:
        """Return the version of a trigger, None where the workspace has no such trigger.

        Raises whatever the read does.
        """
        asked = (workspace_id, trigger_id)
        answer = self._waiting.get(asked)
        if answer is None:
            answer = self._waiting[asked] = asyncio.get_running_loop().create_future()
        if self._reading is None:
            self._reading = asyncio.create_task(self._answer_all(), name="versions")
        return await asyncio.shield(answer)

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                await self._answer(waiting)
        finally:
            self._reading = None

    async def _answer(self, waiting: Mapping[Asked, asyncio.Future[int | None]]) -> None:
        try:
            found = await self._read(waiting)
        except Exception as error:  # noqa: BLE001 - it is for those who asked, each of them
            for answer in waiting.values():
                answer.set_exception(error)
                # Those who asked may all have left meanwhile.
                answer.exception()
            return
        for asked, answer in waiting.items():
            answer.set_result(found.get(asked))
