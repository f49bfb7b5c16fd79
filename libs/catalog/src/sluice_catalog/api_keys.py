"""API keys as they are made: a high-entropy secret that is shown once, and what is kept of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

EVENTS_WRITE: Final = "events:write"
DEFINITIONS_WRITE: Final = "definitions:write"
STATUS_READ: Final = "status:read"
PII_READ: Final = "pii:read"
ADMIN: Final = "admin"
ALL_SCOPES: Final = (EVENTS_WRITE, DEFINITIONS_WRITE, STATUS_READ, PII_READ, ADMIN)
SECRET_PREFIX: Final = "sk_live_"  # noqa: S105 - what every secret begins with
_SECRET_BYTES: Final = 32
_SHOWN_CHARACTERS: Final = 4


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A new key's secret. `sha256` is what is stored, `hint` what tells keys apart afterwards."""

    secret: str = field(repr=False)
    prefix: str = SECRET_PREFIX

    @property
    def sha256(self) -> bytes:
        return digest(self.secret)

    @property
    def hint(self) -> str:
        return f"{self.prefix}…{self.secret[-_SHOWN_CHARACTERS:]}"


def new_secret(prefix: str = SECRET_PREFIX) -> NewSecret:
    """Return a new secret of 256 bits, which begins with `prefix`."""
    return NewSecret(prefix + secrets.token_urlsafe(_SECRET_BYTES), prefix)


def digest(secret: str) -> bytes:
    """Return the SHA-256 under which a secret is stored and looked up."""
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()
