from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sluice_runtime.failpoints import Failpoints


def _reach(**environment: str) -> int:
    script = "from sluice_runtime.failpoints import FAILPOINTS\nfor _ in range(20): FAILPOINTS.reach('send.before')"
    return subprocess.run([sys.executable, "-c", script], env=os.environ | environment, check=False).returncode


def test_an_armed_failpoint_kills_the_process_without_cleaning_up() -> None:
    assert _reach(SLUICE_FAILPOINTS="send.before=1") == -9


def test_other_failpoints_pass() -> None:
    assert _reach(SLUICE_FAILPOINTS="send.after=1,send.before=0") == 0


def test_the_same_seed_throws_the_same_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaths(seed: int) -> list[bool]:
        killed: list[bool] = []
        monkeypatch.setattr(os, "kill", lambda *_: killed.append(True))
        failpoints = Failpoints({"x": 0.5}, seed)
        outcome = []
        for _ in range(50):
            killed.clear()
            failpoints.reach("x")
            outcome.append(bool(killed))
        return outcome

    assert deaths(7) == deaths(7)
    assert deaths(7) != deaths(8)


def test_a_variable_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_FAILPOINTS", "send.before")
    with pytest.raises(ValueError, match="name=probability"):
        Failpoints.from_environment()
