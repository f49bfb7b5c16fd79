"""Where a cluster is and how to get in, in one line: `host:port,…`, or a URL whose scheme is Kafka's security protocol.

    sasl_ssl://sluice:secret@broker-1:9093,broker-2:9093?mechanism=SCRAM-SHA-512&ca=/etc/sluice/kafka-ca.pem

Schemes: `plaintext`, `ssl`, `sasl_plaintext`, `sasl_ssl` (`security.protocol` of Kafka's client configuration). User
and password are percent-encoded. Parameters: `mechanism` (PLAIN unless told, SCRAM-SHA-256 or SCRAM-SHA-512), `ca` (a
PEM file; without it the system's authorities are trusted), `certificate` and `key` (PEM files, for a cluster that asks
clients for a certificate).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_PROTOCOLS: Final = frozenset({"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"})
_MECHANISMS: Final = frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})
_SERVER: Final = re.compile(r"(\[[^\]]+\]|[^:\s]+)(:\d{1,5})?")
_PARAMETERS: Final = frozenset({"mechanism", "ca", "certificate", "key"})


class ClusterAddressError(ValueError):
    """An address that cannot be used; the message says what is wrong and never holds the password."""


@lru_cache(maxsize=8)
def connection_options(address: str) -> Mapping[str, Any]:
    """Return the arguments with which every aiokafka client reaches the cluster at `address`.

    Raises ClusterAddressError, also where a file that it names cannot be read.
    """
    scheme, rest = _split(address)
    credentials, _, hosts = rest.netloc.rpartition("@")
    servers = [server.strip() for server in hosts.split(",") if server.strip()]
    if not servers:
        raise ClusterAddressError("a Kafka address names at least one host:port")
    for server in servers:
        if not _SERVER.fullmatch(server):
            raise ClusterAddressError(f"{server!r} in a Kafka address is not of the form host:port")
    options: dict[str, Any] = {"bootstrap_servers": servers, "security_protocol": scheme.upper()}
    given = dict(parse_qsl(rest.query))
    if unknown := given.keys() - _PARAMETERS:
        raise ClusterAddressError(f"a Kafka address has no parameter {min(unknown)!r}; {sorted(_PARAMETERS)} are known")
    if scheme.startswith("sasl_"):
        options |= _sasl(credentials, given)
    elif credentials:
        raise ClusterAddressError(f"user and password need sasl_plaintext:// or sasl_ssl://, not {scheme}://")
    if scheme.endswith("ssl"):
        options["ssl_context"] = _ssl(given)
    return options


def shown(address: str) -> str:
    """Return `address` as it may be shown to people: without who gets in and how."""
    scheme, rest = _split(address)
    hosts = rest.netloc.rpartition("@")[2]
    return hosts if scheme == "plaintext" else f"{scheme}://{hosts}"


def server_count(address: str) -> int:
    """Return how many brokers `address` names."""
    return len(_split(address)[1].netloc.rpartition("@")[2].split(","))


def _split(address: str) -> tuple[str, SplitResult]:
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "plaintext", address
    if scheme.lower() not in _PROTOCOLS:
        raise ClusterAddressError(f"{scheme}:// is none of Kafka's protocols: {', '.join(sorted(_PROTOCOLS))}")
    return scheme.lower(), urlsplit(f"//{rest}")


def _sasl(credentials: str, given: Mapping[str, str]) -> dict[str, str]:
    user, separator, password = credentials.partition(":")
    if not (user and separator):
        raise ClusterAddressError("sasl_plaintext:// and sasl_ssl:// need user:password@ before the hosts")
    mechanism = given.get("mechanism", "PLAIN").upper()
    if mechanism not in _MECHANISMS:
        raise ClusterAddressError(f"the mechanism {mechanism} is not known; {sorted(_MECHANISMS)} are")
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": unquote(user),
        "sasl_plain_password": unquote(password),
    }


def _ssl(given: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=given.get("ca"))
        if "certificate" in given:
            context.load_cert_chain(given["certificate"], given.get("key"))
    except (OSError, ssl.SSLError) as error:
        raise ClusterAddressError(f"the certificates of the Kafka address cannot be used: {error}") from error
    return context
