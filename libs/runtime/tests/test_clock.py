from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from sluice_runtime import clock as clocks
from sluice_runtime.clock import ManualClock, ShiftedClock, SystemClock

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(START)
    assert clock.now() == clock.now() == START
    clock.advance(timedelta(hours=3))
    assert clock.now() == START + timedelta(hours=3)


def test_a_manual_clock_answers_in_utc_and_never_goes_back() -> None:
    clock = ManualClock(START.astimezone(timezone(timedelta(hours=5))))
    assert clock.now().tzinfo is UTC
    with pytest.raises(ValueError, match="back"):
        clock.advance(timedelta(seconds=-1))


def test_a_shifted_clock_follows_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_REREAD_SECONDS", 0.0)
    file = tmp_path / "clock"
    clock = ShiftedClock(file)

    def shift() -> float:
        return (clock.now() - SystemClock().now()).total_seconds()

    assert abs(shift()) < 5
    file.write_text("259200")
    assert abs(shift() - 259200) < 5
    file.write_text("")
    assert abs(shift()) < 5
    file.write_text("86400")
    assert abs(shift() - 86400) < 5
    file.write_text("8640x")
    assert abs(shift() - 86400) < 5, "a half-written file must not move the clock back"


def test_a_shifted_clock_reads_its_file_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100.0, 100.05, 100.2])
    monkeypatch.setattr(clocks, "monotonic", lambda: next(moments))
    file = tmp_path / "clock"
    clock = ShiftedClock(file)
    clock.now()
    file.write_text("3600")
    assert abs((clock.now() - SystemClock().now()).total_seconds()) < 5
    assert (clock.now() - SystemClock().now()).total_seconds() > 3590
