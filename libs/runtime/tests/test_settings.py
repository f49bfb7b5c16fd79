from __future__ import annotations

import base64
import os

import pytest
from pydantic import ValidationError

from sluice_runtime.clock import ShiftedClock, SystemClock
from sluice_runtime.settings import ServiceSettings

KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLUICE_SECRET_KEY", KEY)
    return monkeypatch


def test_the_environment_is_read_and_trailing_slashes_go(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLUICE_PUBLIC_URL", "https://sluice.example/")
    environment.setenv("SLUICE_HTTP_PORT", "8123")
    environment.setenv("SLUICE_LOG_LEVEL", "DEBUG")
    settings = ServiceSettings()
    assert settings.public_url == "https://sluice.example"
    assert settings.callbacks == "https://sluice.example"
    assert settings.http_port == 8123
    assert settings.log_level == "debug"
    assert settings.secret_bytes == bytes(range(32))
    assert isinstance(settings.clock(), SystemClock)


def test_callbacks_go_to_their_own_url_where_there_is_one(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLUICE_CALLBACK_URL", "http://ingest:8001/")
    assert ServiceSettings().callbacks == "http://ingest:8001"


def test_an_empty_variable_is_as_good_as_none(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLUICE_CLOCK_FILE", "")
    assert ServiceSettings().clock_file is None


def test_a_clock_file_makes_the_clock_movable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLUICE_CLOCK_FILE", "/nowhere/clock")
    assert isinstance(ServiceSettings().clock(), ShiftedClock)


@pytest.mark.parametrize("key", ["", "short", base64.b64encode(b"x" * 31).decode(), "%" * 44])
def test_a_secret_key_that_is_not_thirty_two_bytes_is_refused(environment: pytest.MonkeyPatch, key: str) -> None:
    environment.setenv("SLUICE_SECRET_KEY", key)
    with pytest.raises(ValidationError, match="secret_key"):
        ServiceSettings()


def test_a_url_safe_secret_key_is_taken(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLUICE_SECRET_KEY", base64.urlsafe_b64encode(b"\xff" * 32).decode())
    assert ServiceSettings().secret_bytes == b"\xff" * 32


def test_neither_the_key_nor_the_dsn_shows_in_a_printed_settings_object(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SLUICE_POSTGRES", "postgresql://user:hunter2@db/sluice")
    shown = repr(ServiceSettings())
    assert "hunter2" not in shown
    assert KEY not in shown
