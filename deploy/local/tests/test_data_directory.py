"""What a stack keeps, and who may read it."""

from __future__ import annotations

import base64
import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from sluice_local.data import Credentials, DataDirectory
from sluice_local.processes import StartError
from sluice_runtime.clock import ShiftedClock, SystemClock


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory(tmp_path / "stack")
    directory.open().close()
    return directory


def test_the_secret_key_is_made_once_and_is_its_owners_alone(data: DataDirectory) -> None:
    key = data.secret_key()
    assert len(base64.b64decode(key)) == 32
    assert data.secret_key() == key
    assert stat.S_IMODE((data.path / "secret-key").stat().st_mode) == 0o600


def test_credentials_come_back_and_are_their_owners_alone(data: DataDirectory) -> None:
    assert data.credentials() is None
    data.write_credentials(Credentials("http://127.0.0.1:8080", "sk_live_x"))
    assert data.credentials() == Credentials("http://127.0.0.1:8080", "sk_live_x")
    file = data.path / "credentials.json"
    assert json.loads(file.read_text()) == {"base_url": "http://127.0.0.1:8080", "api_key": "sk_live_x"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_stack_over_the_same_directory_is_refused(data: DataDirectory) -> None:
    with data.open(), pytest.raises(StartError, match="running over"):
        DataDirectory(data.path).open()
    data.open().close()


def test_a_port_is_kept_from_one_start_to_the_next(data: DataDirectory) -> None:
    first = data.port("ingest", set())
    assert DataDirectory(data.path).port("ingest", set()) == first
    assert data.port("status-api", {first}) != first


def test_a_port_that_somebody_else_took_meanwhile_is_replaced(data: DataDirectory) -> None:
    first = data.port("ingest", set())
    assert data.port("ingest", {first}) != first


def test_moving_the_clock_adds_up_and_services_see_it(data: DataDirectory) -> None:
    data.advance_clock(timedelta(days=1))
    assert data.advance_clock(timedelta(hours=12)) == timedelta(days=1, hours=12)
    ahead = ShiftedClock(data.clock).now() - SystemClock().now()
    assert abs(ahead - timedelta(days=1, hours=12)) < timedelta(minutes=1)


def test_the_clock_cannot_go_back_and_needs_a_stack(data: DataDirectory, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        data.advance_clock(timedelta(seconds=-1))
    with pytest.raises(StartError, match="no stack"):
        DataDirectory(tmp_path / "nowhere").advance_clock(timedelta(days=1))
