"""Who a request comes from: the key in its headers, looked up in the snapshot.

A key may stand in `X-API-Key`; in `Authorization` after `ApiKey` or `Bearer`, or by itself; or as the user name or the
password of `Basic`. The workspace comes from the key and from nothing else.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from sluice_catalog.api_keys import digest
from sluice_catalog.models import ApiKey
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_catalog.streams import is_among
from sluice_runtime.http.guard.settings import TRUSTED_PROXIES
from sluice_runtime.http.principal import Principal
from sluice_runtime.http.problems import Problem

_MOST_CHARACTERS: Final = 512


class Authenticator:
    """Turns a request into a principal. Needs no database."""

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        self._snapshot = snapshot

    async def __call__(self, request: web.Request) -> Principal:
        """Return who calls.

        Raises Problem: 401 without a key that is active, 403 from an address that the key does not allow, 503 while
        nothing of the catalog has been seen yet.
        """
        if not self._snapshot.loaded:
            raise Problem(503, "Starting", "The credentials are not loaded yet.", headers={"Retry-After": "1"})
        key = self._key(request.headers)
        if key is None:
            raise Problem(401, "Unauthorized", "A valid API key is needed.")
        if key.allowed_ips and not is_among(client_address(request), key.allowed_ips):
            raise Problem(403, "Forbidden", "The API key may not be used from this address.")
        return Principal(key.workspace_id, key.key_id, key.scopes)

    def _key(self, headers: Mapping[str, str]) -> ApiKey | None:
        for secret in secrets_in(headers):
            sha256 = digest(secret)
            key = self._snapshot.api_key(sha256)
            if key is not None and hmac.compare_digest(key.secret_sha256, sha256):
                return key
        return None


def secrets_in(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what could be a key in a request's headers, the likeliest first; what is not ASCII can be none."""
    given = headers.get("X-API-Key", "").strip()[:_MOST_CHARACTERS]
    if given and given.isascii():
        yield given
    authorization = headers.get("Authorization", "").strip()[:_MOST_CHARACTERS]
    if not authorization.isascii():
        return
    scheme, _, rest = authorization.partition(" ")
    match scheme.lower():
        case "":
            return
        case "apikey" | "bearer":
            yield rest.strip()
        case "basic":
            yield from _basic(rest.strip())
        case _ if not rest:
            yield scheme


def _basic(encoded: str) -> Iterator[str]:
    try:
        user, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        return
    yield from filter(None, (user, password))


def client_address(request: web.Request) -> str:
    """Return the address that a request came from.

    Behind our own gateway, one of `TRUSTED_PROXIES`, it is the last one that the gateway wrote into `X-Forwarded-For`;
    what anybody else writes there is not believed.
    """
    peer = request.remote or ""
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())).rpartition(",")[2].strip()
    return forwarded if forwarded and _is_proxy(peer, request.app.get(TRUSTED_PROXIES, ())) else peer


def _is_proxy(address: str, trusted: tuple[str, ...]) -> bool:
    if trusted:
        return is_among(address, trusted)
    try:
        return ip_address(address).is_private
    except ValueError:
        return False
