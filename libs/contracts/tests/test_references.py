from __future__ import annotations

import re
from base64 import b32decode, b32encode
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sluice_contracts.references import (
    ForgedReferenceError,
    JobReference,
    read_reference,
    sign_reference,
    sign_references,
)

KEY = bytes(range(32))
REFERENCES = st.builds(
    JobReference,
    st.uuids(),
    st.integers(min_value=0, max_value=2**32 - 1),
    st.integers(min_value=0, max_value=0xFFFF),
)


@given(REFERENCES, st.binary(min_size=1, max_size=64))
def test_a_reference_survives_its_journey(reference: JobReference, key: bytes) -> None:
    assert read_reference(sign_reference(reference, key), key) == reference


@given(st.uuids(), st.integers(0, 0xFFFF), st.lists(st.integers(0, 2**32 - 1), max_size=20), st.integers(0, 2**31))
def test_many_are_signed_as_each_would_be_alone(execution_id: UUID, turn: int, seqs: list[int], first: int) -> None:
    seqs += range(first, first + 300)
    alone = [sign_reference(JobReference(execution_id, seq, turn), KEY) for seq in seqs]
    assert sign_references(execution_id, turn, seqs, KEY) == alone
    assert len(set(alone)) == len(set(seqs))


@given(REFERENCES)
def test_a_reference_fits_everywhere_it_must_travel(reference: JobReference) -> None:
    assert re.fullmatch(r"[a-z2-7]{48}", sign_reference(reference, KEY))


@given(REFERENCES)
def test_case_does_not_matter(reference: JobReference) -> None:
    text = sign_reference(reference, KEY)
    mixed = "".join(letter.upper() if place % 3 else letter for place, letter in enumerate(text))
    assert read_reference(text.upper(), KEY) == read_reference(mixed, KEY) == reference


@given(REFERENCES, st.integers(0, 47), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_changed_character_is_a_forgery(reference: JobReference, place: int, character: str) -> None:
    text = sign_reference(reference, KEY)
    assume(text[place] != character)
    with pytest.raises(ForgedReferenceError):
        read_reference(text[:place] + character + text[place + 1 :], KEY)


@given(REFERENCES, st.binary(min_size=32, max_size=32))
def test_another_installations_reference_is_a_forgery(reference: JobReference, other: bytes) -> None:
    assume(other != KEY)
    with pytest.raises(ForgedReferenceError):
        read_reference(sign_reference(reference, other), KEY)


@given(st.text(max_size=60) | st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567=", max_size=60))
def test_no_text_makes_reading_fail_in_any_other_way(text: str) -> None:
    with pytest.raises(ForgedReferenceError):
        read_reference(text, KEY)


@pytest.mark.parametrize("text", ["", "=" * 48, "a" * 47, "a" * 49, "a" * 56, "\ud800" * 48, "ß" * 24, "\x00" * 48])
def test_awkward_texts_are_forgeries(text: str) -> None:
    with pytest.raises(ForgedReferenceError):
        read_reference(text, KEY)


def test_a_round_beyond_what_fits_is_the_last_that_does() -> None:
    reference = JobReference(UUID(int=1), 5, 70_000)
    assert read_reference(sign_reference(reference, KEY), KEY).round == 0xFFFF


def test_a_reference_never_changes() -> None:
    # Written down once: messages that are out there carry it for as long as providers send receipts.
    text = sign_reference(JobReference(UUID("0199a7c0-0000-7000-8000-000000000001"), 12345, 2), KEY)
    assert text == "agm2pqaaabyabaaaaaaaaaaaaeaaeaaaga42bixtyep6hceu"


@given(REFERENCES)
def test_a_reference_is_base32_as_everybody_knows_it(reference: JobReference) -> None:
    text = sign_reference(reference, KEY)
    assert b32encode(b32decode(text.upper())).decode().lower() == text
    assert b32decode(text.upper())[:16] == reference.execution_id.bytes
