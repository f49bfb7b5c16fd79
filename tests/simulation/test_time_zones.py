"""A month of a workflow with a send window, for somebody in every time zone, over the changes of their clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from orchestrator.domain.answers import HeldJob
from orchestrator.domain.rounds import next_rounds
from orchestrator.domain.running import Mode
from simulated.month import LOOK, WORKSPACE, play_month
from simulated.scenario import contact
from sluice_channel.domain import windows
from sluice_contracts.messages.content import SendWindow
from sluice_contracts.vocabulary import HoldCode

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
"""Every zone's offset is a multiple of it today, and so is every opening below."""


def opens_next(window: SendWindow, zone: ZoneInfo, moment: datetime) -> datetime:
    """Look for the opening the long way, by nothing but what the clock on the wall shows."""
    opens, closes = time.fromisoformat(window.opens), time.fromisoformat(window.closes)
    at = moment
    while True:
        wall = at.astimezone(zone)
        if wall.isoweekday() in window.days and opens <= wall.time() < closes:
            return at
        at = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0) + QUARTER


@pytest.mark.parametrize("start", [datetime(2026, 3, 6, 1, 17, tzinfo=UTC), datetime(2026, 10, 3, 13, 5, tzinfo=UTC)])
def test_every_step_reaches_everybody_within_their_hours_and_at_the_first_moment_possible(start: datetime) -> None:
    window = SendWindow(days=[1, 2, 3, 4, 6], opens="09:00", closes="11:30")
    contacts = [contact(number, WORKSPACE, timezone=zone) for number, zone in enumerate(ZONES)]
    delays = [0, 2 * 1440 + 125, 9 * 1440, 16 * 1440 + 700, 30 * 1440]
    sent = play_month(start, contacts, delays, window)
    for order, delay in enumerate(delays, start=1):
        assert sorted(taken.job.seq for taken in sent[order]) == list(range(len(ZONES)))
        due = start + timedelta(minutes=delay)
        expected: dict[str, datetime] = {}
        for taken in sent[order]:
            zone = ZONES[taken.job.seq]
            at = start + timedelta(seconds=taken.at)
            wall = at.astimezone(ZoneInfo(zone))
            assert wall.isoweekday() in window.days
            assert time(9) <= wall.time() < time(11, 30), f"{zone}: {wall}"
            assert at >= due
            first = expected.setdefault(zone, opens_next(window, ZoneInfo(zone), due))
            assert at - first <= LOOK + 2 * MINUTE, f"step {order} in {zone}: {at}, possible at {first}"


def changes(zone: ZoneInfo, first: date, days: int) -> list[datetime]:
    """The days on which a zone's clocks change."""
    found = []
    for day in range(days):
        at = datetime.combine(first + timedelta(days=day), time(), tzinfo=UTC)
        if (at - timedelta(days=1)).astimezone(zone).utcoffset() != at.astimezone(zone).utcoffset():
            found.append(at)
    return found


@pytest.mark.parametrize(
    "window",
    [
        SendWindow(days=[1, 2, 3, 4, 5, 6, 7], opens="02:15", closes="02:45"),
        SendWindow(days=[7], opens="01:30", closes="03:30"),
        SendWindow(days=[1, 2, 3, 4, 5, 6, 7], opens="00:00", closes="00:30"),
    ],
)
def test_a_window_in_the_hour_that_is_skipped_or_repeated_is_neither_missed_for_long_nor_overstepped(
    window: SendWindow,
) -> None:
    looked_at = 0
    for name in ZONES:
        zone = ZoneInfo(name)
        for change in changes(zone, date(2026, 1, 1), 365):
            looked_at += 1
            now = change - timedelta(days=2, hours=5)
            standing = windows.standing(window, name, now)
            rounds = 0
            while not standing.is_open:
                assert standing.opens_at is not None
                (again,) = next_rounds(
                    [HeldJob(0, 0, HoldCode.OUTSIDE_WINDOW, standing.opens_at)], Mode.RUNNING, now, credit=False
                )
                assert again.due_at is not None
                now, rounds = again.due_at, rounds + 1
                standing = windows.standing(window, name, now)
            assert rounds == 1
            assert now == opens_next(window, zone, change - timedelta(days=2, hours=5))
    assert looked_at > 200
