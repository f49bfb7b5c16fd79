"""The signed links that a recipient's mail program or hand follows back to us: open pixel, click, unsubscribe.

A link holds the job's reference and, for a click, the destination; nothing about the person. What is not signed by this
installation's key is not a link of ours, so nobody can use the click door to redirect anywhere they like.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from sluice_contracts.vocabulary import Channel

_SIGNATURE_BYTES: Final = 16
_SIGNATURE_CHARACTERS: Final = 22
_MAX_TOKEN: Final = 8192
_SEPARATOR: Final = "|"


class ForgedTokenError(ValueError):
    """The text is not a link of the wanted kind that this installation has signed."""


class LinkKind(StrEnum):
    """What following a link means; also the door that it leads to."""

    OPEN = "o"
    CLICK = "c"
    UNSUBSCRIBE = "u"


@dataclass(frozen=True, slots=True)
class TrackedLink:
    """One link in one message. `reference` is the job's signed reference; `number` counts a message's links from 1.

    `destination` is where a click leads, an http or https URL; empty on the other kinds.
    """

    kind: LinkKind
    channel: Channel
    reference: str
    number: int = 0
    destination: str = ""


def sign_link(link: TrackedLink, key: bytes) -> str:
    """Return a token of URL-safe characters that `read_link` takes back under the same `key`.

    Raises ValueError when a click leads anywhere but to an http or https URL.
    """
    if link.kind is LinkKind.CLICK and not is_web_address(link.destination):
        raise ValueError(f"a click cannot lead to {link.destination!r}")
    return _signed(_SEPARATOR.join((link.kind, link.channel, link.reference, str(link.number), link.destination)), key)


def read_link(token: str, kind: LinkKind, key: bytes) -> TrackedLink:
    """Read a token back.

    Raises ForgedTokenError when it was not signed with `key`, or is a link of another kind.
    """
    body, _, signature = token.rpartition(".")
    if not body or len(token) > _MAX_TOKEN or not token.isascii() or len(signature) != _SIGNATURE_CHARACTERS:
        raise ForgedTokenError("not a link token")
    if not hmac.compare_digest(_signature(body.encode(), key), signature.encode()):
        raise ForgedTokenError("the link's signature is not ours")
    fields = urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode().split(_SEPARATOR, 4)
    if fields[0] != kind:
        raise ForgedTokenError(f"not a link of kind {kind.name.lower()}")
    return TrackedLink(kind, Channel(fields[1]), fields[2], int(fields[3]), fields[4])


def is_web_address(destination: str) -> bool:
    """Say whether `destination` is an http or https URL with a host and without characters that break a header."""
    if any(character <= " " or character == "\x7f" for character in destination):
        return False
    try:
        destination.encode()
        parts = urlsplit(destination)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


class Links:
    """Makes the links of one installation. `base_url` is its address seen from outside; `key` from `derive_key`."""

    def __init__(self, base_url: str, key: bytes) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key

    def open_pixel(self, channel: Channel, reference: str) -> str:
        """Return the address of the image that says the message was opened."""
        return f"{self._base_url}/o/{_signed(f'o|{channel}|{reference}|0|', self._key)}.gif"

    def click(self, channel: Channel, reference: str, number: int, destination: str) -> str:
        """Return the address that notes the click and leads on to `destination`.

        Raises ValueError when that is no http or https URL: such a link stays as it is.
        """
        link = TrackedLink(LinkKind.CLICK, channel, reference, number, destination)
        return f"{self._base_url}/c/{sign_link(link, self._key)}"

    def unsubscribe(self, channel: Channel, reference: str) -> str:
        """Return the address for `List-Unsubscribe`: a POST unsubscribes, a GET shows a page that asks (RFC 8058)."""
        return f"{self._base_url}/u/{_signed(f'u|{channel}|{reference}|0|', self._key)}"


def _signed(content: str, key: bytes) -> str:
    body = _encoded(content.encode())
    return (body + b"." + _signature(body, key)).decode()


def _signature(body: bytes, key: bytes) -> bytes:
    return _encoded(hmac.digest(key, body, "sha256")[:_SIGNATURE_BYTES])


def _encoded(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")
