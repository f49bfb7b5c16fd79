"""When a command that nobody has answered is sent again, and when a message is too old to be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sluice_contracts.vocabulary import Category


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The first repeat comes after `first`, each later one after twice the wait, never more than `longest`."""

    first: timedelta = timedelta(seconds=60)
    longest: timedelta = timedelta(minutes=15)

    def after(self, sends: int, now: datetime) -> datetime:
        """Return when a command that has now been sent `sends` times (at least 1) is due again."""
        doublings = min(sends - 1, 20)
        wait: timedelta = self.first * 2**doublings
        return now + min(wait, self.longest)


def expiry(
    asked: datetime | None, category: Category, started_at: datetime, longest_ages: Mapping[Category, timedelta]
) -> datetime | None:
    """Return when a job of an execution is too old to be sent: what the caller asked, or the category's longest age."""
    if asked is not None:
        return asked
    age = longest_ages.get(category)
    return None if age is None else started_at + age
