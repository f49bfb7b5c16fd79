"""Keys made from the installation's one secret, and a box that keeps providers' credentials closed."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PROVIDER_SECRETS: Final = "provider-secrets"
JOB_REFERENCES: Final = "job-references"
TRACKING_LINKS: Final = "tracking-links"

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_PREFIX: Final = "v1."


class SealedTextError(ValueError):
    """The text was not sealed with this key, or was changed since."""


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Return 32 bytes (HKDF-SHA256, RFC 5869) that only `secret` and `purpose` together yield."""
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=f"sluice:{purpose}".encode()).derive(secret)


class SecretBox:
    """Encrypts texts with AES-256-GCM under one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"a key has {_KEY_BYTES} bytes")
        self._cipher = AESGCM(key)

    def encrypt(self, text: str) -> str:
        """Return `text` sealed, as `v1.` and URL-safe base64; different each time."""
        nonce = os.urandom(_NONCE_BYTES)
        return _PREFIX + urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), None)).decode()

    def decrypt(self, sealed: str) -> str:
        """Open what `encrypt` returned.

        Raises SealedTextError when it was not sealed with this key.
        """
        if not sealed.startswith(_PREFIX):
            raise SealedTextError("not a sealed text")
        try:
            raw = urlsafe_b64decode(sealed.removeprefix(_PREFIX).encode())
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None).decode()
        except (InvalidTag, ValueError) as error:
            raise SealedTextError("sealed with another key, or changed since") from error
