"""How the one line that names a cluster is read."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from sluice_messaging.kafka.address import ClusterAddressError, connection_options, server_count, shown

GUARDED = "sasl_ssl://slu%40ice:p%3Aw%2Fd@one:9093,two:9093?mechanism=scram-sha-512"


def test_bare_hosts_are_reached_in_plain_text() -> None:
    assert connection_options("one:9092, two:9092") == {
        "bootstrap_servers": ["one:9092", "two:9092"],
        "security_protocol": "PLAINTEXT",
    }


def test_a_url_says_the_protocol_who_gets_in_and_how() -> None:
    options = dict(connection_options(GUARDED))
    context = options.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert options == {
        "bootstrap_servers": ["one:9093", "two:9093"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "slu@ice",
        "sasl_plain_password": "p:w/d",
    }


def test_what_is_shown_of_an_address_lets_nobody_in() -> None:
    assert shown(GUARDED) == "sasl_ssl://one:9093,two:9093"
    assert shown("one:9092,two:9092") == "one:9092,two:9092"
    assert server_count(GUARDED) == 2


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "at least one"),
        ("one:9092,two:port", "'two:port' in a Kafka address is not of the form host:port"),
        ("https://one:9093", "https:// is none of Kafka's protocols"),
        ("sasl_ssl://one:9093", "need user:password@"),
        ("ssl://user:secret@one:9093", "need sasl_plaintext:// or sasl_ssl://"),
        ("sasl_plaintext://user:secret@one:9093?mechanism=GSSAPI", "GSSAPI is not known"),
        ("ssl://one:9093?cafile=/x", "no parameter 'cafile'"),
        ("ssl://one:9093?ca=/not/there.pem", "cannot be used"),
    ],
)
def test_an_address_that_cannot_be_used_says_why_without_its_secret(address: str, said: str) -> None:
    with pytest.raises(ClusterAddressError, match=said) as raised:
        connection_options(address)
    assert "secret" not in str(raised.value)


def test_a_file_that_holds_no_certificate_is_named_as_the_cause(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    with pytest.raises(ClusterAddressError, match="certificates"):
        connection_options(f"ssl://one:9093?ca={empty}")
