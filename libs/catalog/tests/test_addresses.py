"""Addresses in the one form in which they are kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_catalog.addresses import Phone, normalise_email, normalise_phone


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("+1 (415) 555-0123", None, Phone("+14155550123", "US")),
        ("415 555 0123", "US", Phone("+14155550123", "US")),
        ("+918489462530", None, Phone("+918489462530", "IN")),
        ("+1 242 359 0000", None, Phone("+12423590000", "BS")),
        ("+800 1234 5678", None, Phone("+80012345678", None)),
        *((f"+150055500{last:02}", None, Phone(f"+150055500{last:02}", "US")) for last in range(1, 11)),
        ("415 555 0123", None, None),
        ("+1 415 555 0123 ext. 4", None, None),
        ("+44 7700 900123", None, None),
        ("hello", "US", None),
        ("", "US", None),
        ("+1" + "4" * 60, None, None),
        ("4155550123", "??", None),
    ],
)
def test_a_phone_number_is_read_as_people_write_it(text: str, country: str | None, expected: Phone | None) -> None:
    assert normalise_phone(text, country) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("bounce+tag@sandbox.test", "bounce+tag@sandbox.test"),
        ("o'neil@example.co.uk", "o'neil@example.co.uk"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("ada", None),
        ("@example.com", None),
        ("ada@example", None),
        ("ada@-example.com", None),
        ("ada@exa_mple.com", None),
        ("a..b@example.com", None),
        ('"a b"@example.com', None),
        ("ada@example.com\r\nBcc: x@y.example", None),
        ("ada@example.com, eve@example.com", None),
        ("adä@example.com", None),
        ("a" * 65 + "@example.com", None),
        ("a@" + "b" * 250 + ".com", None),
        ("a@" + "é" * 70 + ".com", None),
    ],
)
def test_an_email_address_is_lower_cased_or_refused(text: str, expected: str | None) -> None:
    assert normalise_email(text) == expected


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_breaks_the_readers_and_what_they_return_is_stable(text: str) -> None:
    email = normalise_email(text)
    assert email is None or (normalise_email(email) == email and email.isascii() and email.count("@") == 1)
    phone = normalise_phone(text, "US")
    assert phone is None or normalise_phone(phone.e164, None) == phone
