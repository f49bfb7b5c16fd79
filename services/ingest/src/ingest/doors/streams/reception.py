"""What the doors that take something in for a stream have in common: Peach's events, and CommPeak's messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ingest.doors.streams.activity import StreamActivity
from ingest.doors.streams.credentials import StreamCredentials
from ingest.doors.streams.refusals import problem_for
from ingest.handlers.intake import Intake
from ingest.handlers.sends import Renew, asked_twice
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_catalog.streams import Stream
from sluice_runtime.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reception:
    """Who may call streams, what is known of them, and what counts what comes in; no database is among it."""

    snapshot: CatalogSnapshot
    credentials: StreamCredentials
    activity: StreamActivity
    renew: Renew
    intake: Intake
    clock: Clock

    def default_country(self, stream: Stream) -> str | None:
        """Return the country whose numbers are written without a calling code in a stream's workspace."""
        settings = self.snapshot.workspace(stream.workspace_id)
        return None if settings is None else settings.default_country

    async def decided(self, decide: Callable[[], T]) -> T:
        """Return what `decide` decides; where it misses something, look whether it has been made a moment ago.

        Raises Problem 422 or 409, with the code that refusals are counted by.
        """
        return await asked_twice(decide, self.renew, problem_for)
