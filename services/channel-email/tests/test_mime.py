"""MIME bytes are what Python's own parser reads back, whatever the values hold."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage as ParsedEmail

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_email.providers.smtp.mime import UnsafeAddressError, checked_address, compose, header_value
from sluice_channel.provider import EmailMessage

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def composed(message: EmailMessage, from_name: str | None = "Ada") -> ParsedEmail:
    raw = compose(
        message,
        from_email="news@sender.test",
        from_name=from_name,
        reply_to="help@sender.test",
        to="bob@example.test",
        identifier="abc234",
        now=0.0,
    )
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    parsed = message_from_bytes(raw, policy=policy.default)
    assert isinstance(parsed, ParsedEmail)
    return parsed


def email(subject: str = "Hello", html: str | None = None, text: str | None = "Hi", **headers: str) -> EmailMessage:
    return EmailMessage(subject, html, text, None, None, None, headers)


@given(subject=TEXT, name=TEXT, header=TEXT)
def test_no_value_can_add_a_header_of_its_own(subject: str, name: str, header: str) -> None:
    parsed = composed(email(subject, **{"X-Campaign": header}), name)
    assert [key.lower() for key in parsed.keys()] == [  # noqa: SIM118 - a message is not a mapping of unique keys
        "from", "reply-to", "mime-version", "to", "subject", "date", "message-id", "x-campaign",
        "content-type", "content-transfer-encoding",
    ]  # fmt: skip


def test_an_injected_line_end_becomes_a_space() -> None:
    parsed = composed(email("Hi\r\nBcc: everybody@example.test"))
    assert parsed["Subject"] == "Hi Bcc: everybody@example.test"
    assert parsed["Bcc"] is None


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200))
def test_a_subject_reads_back_as_it_was_written(subject: str) -> None:
    words = " ".join(subject.split())
    assert " ".join(str(composed(email(subject))["Subject"]).split()) == words


@given(html=TEXT, text=TEXT)
def test_both_parts_read_back_as_they_were_written(html: str, text: str) -> None:
    parsed = composed(email(html=html, text=text))
    plain, rich = list(parsed.iter_parts())
    for part, written in ((plain, text), (rich, html)):
        raw = part.get_payload(decode=True)
        assert isinstance(raw, bytes)
        assert raw.decode() == "\r\n".join(written.replace("\r\n", "\n").replace("\r", "\n").split("\n"))


@pytest.mark.parametrize("body", ["x" * 5000, "é" * 5000, "こんにちは" * 700, ".\r\n.", "a\x00b", "line\n" * 3])
def test_any_body_survives_its_transfer_encoding(body: str) -> None:
    raw = composed(email(text=body)).get_payload(decode=True)
    assert isinstance(raw, bytes)
    assert raw.decode() == body.replace("\r\n", "\n").replace("\n", "\r\n")


@pytest.mark.parametrize("address", ["a b@x.test", "a@x.test>\r\nRCPT TO:<c@y.test", "<a@x.test>", "a", "ä@x.test", ""])
def test_an_address_that_could_break_a_command_is_refused(address: str) -> None:
    with pytest.raises(UnsafeAddressError):
        checked_address(address)


def test_a_long_header_is_folded_below_the_limit() -> None:
    assert all(len(line) <= 78 for line in header_value("word " * 60).split(b"\r\n"))
