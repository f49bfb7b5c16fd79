"""A guard on URLs that users give us: nobody may make our services call our own network."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import AddrInfoType, TCPConnector

_METADATA: Final = frozenset(
    {"169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"}
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_RESOLVE_SECONDS: Final = 5.0


class ForbiddenUrlError(ValueError):
    """The URL leads, or may lead, somewhere that users have no business with."""


async def check_url(url: str, *, allow_private: bool) -> None:
    """Return if `url` is http(s) and every address of its host is public.

    With `allow_private` (a stack on one machine) private and loopback addresses pass too, link-local ones and cloud
    metadata services never do. Names are resolved here, which takes up to five seconds; a client that connects later
    should use `guarded_connector`, since a name can be made to point elsewhere in between.

    Raises ForbiddenUrlError.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ForbiddenUrlError("the URL cannot be read") from error
    if parts.scheme not in {"http", "https"}:
        raise ForbiddenUrlError("the URL must be http or https")
    if not host:
        raise ForbiddenUrlError("the URL has no host")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenUrlError("the URL must not hold credentials")
    for address in await _addresses(host, port or (443 if parts.scheme == "https" else 80)):
        check_address(address, allow_private=allow_private)


def check_address(address: str, *, allow_private: bool) -> None:
    """Return if connections to the IP `address` are allowed.

    Raises ForbiddenUrlError.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = _wrapped(ip) or ip
    local = ip.is_loopback or (ip.is_private and not ip.is_link_local and not ip.is_unspecified and not ip.is_reserved)
    if str(ip) in _METADATA or ip.is_multicast or not (ip.is_global or (allow_private and local)):
        raise ForbiddenUrlError("the URL leads to an address that is not public")


def guarded_connector(*, allow_private: bool, limit: int = 100) -> TCPConnector:
    """Return a connector for `aiohttp.ClientSession` that checks each address at the moment of connecting to it."""

    def open_socket(target: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, where = target
        try:
            check_address(str(where[0]), allow_private=allow_private)
        except ForbiddenUrlError as error:
            # An OSError is what the client expects here and turns into its own ClientConnectorError.
            raise OSError(errno.EACCES, str(error)) from error
        return socket.socket(family, kind, protocol)

    return TCPConnector(socket_factory=open_socket, limit=limit)


def _wrapped(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a packet to `ip` ends up at through a translator or tunnel."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


async def _addresses(host: str, port: int) -> Sequence[str]:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ForbiddenUrlError("the URL's host cannot be resolved") from error
    return [str(entry[4][0]) for entry in found]
