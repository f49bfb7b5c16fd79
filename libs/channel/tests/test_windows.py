"""Send windows: what the wall clock says, in every zone, also where clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_channel.domain.windows import standing, zone_of
from sluice_contracts.messages.content import SendWindow

ZONES = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("posix", "right")))


def inside(window: SendWindow, zone: str, at: datetime) -> bool:
    """The rule in its plainest form, straight from the wall clock."""
    local = at.astimezone(ZoneInfo(zone))
    opens, closes = time.fromisoformat(window.opens), time.fromisoformat(window.closes)
    clock, today = local.time(), local.isoweekday()
    yesterday = today - 1 or 7
    if closes > opens:
        return today in window.days and opens <= clock < closes
    return (today in window.days and clock >= opens) or (yesterday in window.days and clock < closes)


times = st.builds(lambda hour, minute: f"{hour:02d}:{minute:02d}", st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
windows = st.builds(
    SendWindow, days=st.lists(st.integers(1, 7), min_size=1, max_size=7, unique=True), opens=times, closes=times
)
moments = st.integers(1_672_531_200, 1_830_297_600).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(windows, st.sampled_from(ZONES), moments)
@settings(max_examples=300, deadline=None)
def test_it_is_open_exactly_when_the_wall_clock_says_so(window: SendWindow, zone: str, now: datetime) -> None:
    assert standing(window, zone, now).is_open is inside(window, zone, now)


@given(windows, st.sampled_from(ZONES), moments)
@settings(max_examples=300, deadline=None)
def test_the_next_opening_is_the_first_moment_at_which_it_is_open(window: SendWindow, zone: str, now: datetime) -> None:
    found = standing(window, zone, now)
    if found.is_open:
        return
    assert found.opens_at is not None
    assert found.opens_at > now
    assert inside(window, zone, found.opens_at)
    moment = now
    while moment < found.opens_at:
        assert not inside(window, zone, moment), "it opened earlier"
        moment += timedelta(minutes=15)
    assert not inside(window, zone, found.opens_at - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("zone", "window", "now", "opens_at"),
    [
        # New York's clocks jump from 02:00 to 03:00: half past two is at three that day.
        ("America/New_York", ("02:30", "10:00"), "2026-03-08T06:00Z", "2026-03-08T07:00Z"),
        # Clocks go back at 02:00 to 01:00: the window opens at the first half past one, and shuts in between.
        ("America/New_York", ("01:30", "05:00"), "2026-11-01T05:00Z", "2026-11-01T05:30Z"),
        ("America/New_York", ("01:30", "05:00"), "2026-11-01T06:10Z", "2026-11-01T06:30Z"),
        # Lord Howe moves by half an hour.
        ("Australia/Lord_Howe", ("02:15", "10:00"), "2026-10-03T15:00Z", "2026-10-03T15:30Z"),
        # A whole day was left out in Samoa.
        ("Pacific/Apia", ("08:00", "20:00"), "2011-12-30T09:00Z", "2011-12-30T18:00Z"),
        # A quarter of an hour off the hour.
        ("Asia/Kathmandu", ("09:00", "20:00"), "2026-06-01T02:00Z", "2026-06-01T03:15Z"),
    ],
)
def test_openings_at_the_edges(zone: str, window: tuple[str, str], now: str, opens_at: str) -> None:
    found = standing(SendWindow(opens=window[0], closes=window[1]), zone, datetime.fromisoformat(now))
    assert found.opens_at == datetime.fromisoformat(opens_at)


def test_a_window_on_one_weekday_is_found_a_week_ahead() -> None:
    monday = SendWindow(days=[1], opens="09:00", closes="10:00")
    found = standing(monday, "UTC", datetime(2026, 3, 2, 10, tzinfo=UTC))
    assert found.opens_at == datetime(2026, 3, 9, 9, tzinfo=UTC)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    friday_night = SendWindow(days=[5], opens="22:00", closes="06:00")
    assert standing(friday_night, "UTC", datetime(2026, 3, 7, 5, 59, tzinfo=UTC)).is_open
    assert not standing(friday_night, "UTC", datetime(2026, 3, 6, 5, 59, tzinfo=UTC)).is_open


def test_a_window_without_days_never_opens() -> None:
    assert standing(SendWindow(days=[]), "UTC", datetime(2026, 3, 2, tzinfo=UTC)).opens_at is None


@pytest.mark.parametrize("unknown", [None, "", "Mars/Olympus", "../../etc/passwd", "a\x00b"])
def test_an_unknown_zone_is_the_windows_own(unknown: str | None) -> None:
    window = SendWindow(opens="09:00", closes="17:00", default_timezone="Asia/Tokyo")
    assert standing(window, unknown, datetime(2026, 3, 2, 3, tzinfo=UTC)).is_open
    assert zone_of(unknown, "no/zone either").key == "UTC"


def test_midnight_may_be_written_as_twenty_four() -> None:
    window = SendWindow(opens="08:00", closes="24:00")
    assert standing(window, "UTC", datetime(2026, 3, 2, 23, 59, tzinfo=UTC)).is_open
    assert not standing(window, "UTC", datetime(2026, 3, 2, 0, 0, tzinfo=UTC)).is_open
