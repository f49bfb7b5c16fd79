from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.redaction import mask_address, mask_addresses_in, redact

EMAILS = st.emails()
NUMBERS = st.integers(min_value=10**9, max_value=10**14).map(lambda number: f"+{number}")


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("ada@example.com", "a***@example.com"),
        ("+14155550123", "+14***23"),
        ("14155550123", "141***23"),
        ("+12345", "+***"),
        ("", "***"),
    ],
)
def test_a_masked_address_shows_only_its_edges(address: str, masked: str) -> None:
    assert mask_address(address) == masked


@given(NUMBERS, st.sampled_from(["sent to {}", "{}", "to={}, again", "<{}>", "tel:{};x"]))
def test_no_number_survives_anywhere_in_a_text(number: str, sentence: str) -> None:
    assert number not in mask_addresses_in(sentence.format(number))


@given(st.from_regex(r"[a-z][a-z0-9._+-]{2,20}", fullmatch=True))
def test_no_mailbox_survives_anywhere_in_a_text(local: str) -> None:
    address = f"{local}@example.com"
    for sentence in ("sent to {}", "<{}>", '"{}"', "Key (email)=({}) already exists.", "mailto:{}"):
        assert address not in mask_addresses_in(sentence.format(address))


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:04:05+00:00", "1+2", "a@b", "key@", "0199a-7c", "18446744073709551616", "commands.sms.bulk"],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert mask_addresses_in(text) == text


@given(st.text())
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask_addresses_in(text)
    assert mask_addresses_in(once) == once


def test_secrets_and_content_are_left_out_at_every_depth() -> None:
    fields = {
        "event": "x.happened",
        "token": "t",
        "request": {"authorization": "Bearer sk_1", "size": 3, "items": [{"password": "p", "n": 1}]},
        "body": b"{}",
    }
    assert redact(fields) == {"event": "x.happened", "request": {"size": 3, "items": [{"n": 1}]}}


def test_addresses_are_masked_at_every_depth_and_in_every_kind_of_value() -> None:
    class Thing:
        def __str__(self) -> str:
            return "for ada@example.com"

    shown = redact(
        {"error": ValueError("no ada@example.com"), "list": ["+14155550123"], "thing": Thing(), "to": "4155550123"}
    )
    assert shown == {
        "error": "no a***@example.com",
        "list": ["+14***23"],
        "thing": "for a***@example.com",
        "to": "415***23",
    }


def test_endless_nesting_comes_to_an_end() -> None:
    knot: dict[str, object] = {}
    knot["knot"] = knot
    assert "…" in str(redact(knot))
