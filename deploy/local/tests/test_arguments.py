"""What may be said on the command line."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sluice_local.arguments import parser
from sluice_local.console.sending import parse_variables, send_body, trigger_body
from sluice_local.durations import describe, parse_duration
from sluice_local.options import StackOptions, is_loopback, parse_copies


def test_up_without_words_is_one_broker_on_loopback_port_8080() -> None:
    arguments = parser().parse_args(["up"])
    assert (arguments.port, arguments.host, arguments.brokers) == (8080, "127.0.0.1", 1)
    assert (arguments.data, arguments.copies, arguments.kafka, arguments.postgres) == (Path(".sluice"), {}, "", "")


def test_the_empty_values_that_make_passes_mean_the_defaults() -> None:
    arguments = parser().parse_args(["up", "--copies", "", "--kafka", "", "--postgres", ""])
    assert (arguments.copies, arguments.kafka, arguments.postgres) == ({}, "", "")


@pytest.mark.parametrize(
    "text", ["channel-sms=2 status-api=3", "channel-sms=2,status-api=3", " channel-sms=2, status-api=3 "]
)
def test_copies_are_read_with_blanks_or_commas(text: str) -> None:
    assert parse_copies(text) == {"channel-sms": 2, "status-api": 3}


@pytest.mark.parametrize(
    "text", ["channel-fax=2", "ingest", "ingest=", "ingest=0", "ingest=-1", "ingest=many", "ingest=17"]
)
def test_copies_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"there is no service|is not of the form"):
        parse_copies(text)


@pytest.mark.parametrize("words", [["--port", "99999"], ["--port", "http"], ["--brokers", "2"], ["--copies", "fax=1"]])
def test_what_cannot_be_is_refused_before_anything_starts(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args(["up", *words])
    assert stopped.value.code == 2
    assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("3d", timedelta(days=3)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("0.5h", timedelta(minutes=30)),
    ],
)
def test_durations_are_written_as_people_write_them(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "3", "d", "-3d", "3 days", "3dd"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_duration_is_described_in_its_two_largest_units() -> None:
    assert describe(timedelta(days=3, hours=4, minutes=5)) == "3d 4h"
    assert describe(timedelta(hours=1, seconds=1)) == "1h"
    assert describe(timedelta(minutes=1)) == "1m"
    assert describe(timedelta(milliseconds=131)) == "0.131s"
    assert describe(timedelta(0)) == "0s"


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("192.0.2.1", False)]
)
def test_only_loopback_is_private(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("::", "127.0.0.1"), ("192.0.2.1", "192.0.2.1")],
)
def test_a_stack_is_reached_where_it_listens(host: str, expected: str) -> None:
    assert StackOptions(Path(".sluice"), host=host).reachable_host == expected


def test_a_bare_number_is_sent_to_directly() -> None:
    arguments = parser().parse_args(["send", "sms", "--to", "+14155550123", "--text", "Hello"])
    assert send_body(arguments) == {"recipient_type": "direct_sms", "direct_sms": "+14155550123", "text": "Hello"}


def test_contacts_and_tags_are_recipients_too() -> None:
    one = parser().parse_args(["send", "email", "--contact", "ada", "--template", "welcome", "--var", "code=1=2"])
    assert send_body(one) == {
        "recipient_type": "contact",
        "contact_external_id": "ada",
        "template_key": "welcome",
        "variables": {"code": "1=2"},
    }
    several = parser().parse_args(["trigger", "Welcome Series", "--contact", "ada", "--contact", "bob"])
    assert trigger_body(several) == {
        "workflow_name": "Welcome Series",
        "recipient_type": "contacts",
        "contact_external_ids": ["ada", "bob"],
    }
    tagged = parser().parse_args(["trigger", "Welcome Series", "--tag", "vip"])
    assert trigger_body(tagged) == {"workflow_name": "Welcome Series", "recipient_type": "tag", "tags": ["vip"]}


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["send", "sms", "--text", "Hello"], "say whom"),
        (["send", "sms", "--to", "+14155550123"], "say what"),
        (["send", "whatsapp", "--to", "+14155550123", "--text", "Hello"], "say what"),
        (["send", "email", "--to", "ada@example.com", "--text", "Hello"], "say what"),
    ],
)
def test_a_send_without_recipient_or_content_says_which(words: list[str], missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        send_body(parser().parse_args(words))


def test_a_variable_needs_a_name() -> None:
    with pytest.raises(ValueError, match="name=value"):
        parse_variables(["=value"])
