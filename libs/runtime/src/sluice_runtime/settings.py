"""What the environment tells a service. Every variable starts with `SLUICE_`."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sluice_runtime.clock import Clock, ShiftedClock, SystemClock

SECRET_KEY_BYTES: Final = 32


class ServiceSettings(BaseSettings):
    """Settings that all services share; a service subclasses it for its own.

    `secret_key` is the base64 of 32 random bytes, the same for every service of an installation. `callback_url` is
    where sandbox providers post their receipts; empty means `public_url`. An empty `otlp_endpoint` turns traces off.
    `session_seconds` is how long a copy may be silent before the broker takes it for dead and gives its partitions to
    others (by default a broker allows 6 at least): what was on its way through a copy that was killed waits that long.
    """

    model_config = SettingsConfigDict(env_prefix="SLUICE_", extra="ignore", frozen=True, env_ignore_empty=True)

    kafka: str = Field(default="127.0.0.1:9092", repr=False)
    session_seconds: float = Field(default=7.0, ge=1)
    postgres: str = Field(default="postgresql://127.0.0.1:5432/sluice", repr=False)
    secret_key: SecretStr
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = "http://127.0.0.1:8080"
    callback_url: str = ""
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    clock_file: Path | None = None
    otlp_endpoint: str = ""
    trace_ratio: float = Field(default=0.01, ge=0, le=1)

    @field_validator("secret_key")
    @classmethod
    def _is_thirty_two_bytes(cls, value: SecretStr) -> SecretStr:
        if len(_decode(value)) != SECRET_KEY_BYTES:
            raise ValueError(f"must be the base64 of {SECRET_KEY_BYTES} bytes")
        return value

    @field_validator("public_url", "callback_url", "otlp_endpoint")
    @classmethod
    def _without_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def secret_bytes(self) -> bytes:
        """The 32 bytes from which `secrets.derive_key` makes a key for each purpose."""
        return _decode(self.secret_key)

    @property
    def callbacks(self) -> str:
        """The base URL for callbacks: `callback_url`, or else `public_url`."""
        return self.callback_url or self.public_url

    def clock(self) -> Clock:
        """Return the clock that these settings ask for."""
        return ShiftedClock(self.clock_file) if self.clock_file else SystemClock()


def _decode(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    try:
        return base64.b64decode(text, altchars=b"-_" if "-" in text or "_" in text else None, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64") from error
