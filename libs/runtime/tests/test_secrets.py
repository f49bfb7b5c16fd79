from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_runtime.secrets import JOB_REFERENCES, PROVIDER_SECRETS, SealedTextError, SecretBox, derive_key

KEY = bytes(range(32))


@given(st.text())
def test_what_was_sealed_comes_back(text: str) -> None:
    assert SecretBox(KEY).decrypt(SecretBox(KEY).encrypt(text)) == text


def test_the_same_text_is_sealed_differently_each_time() -> None:
    box = SecretBox(KEY)
    assert box.encrypt("token") != box.encrypt("token")


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealedTextError):
        SecretBox(bytes(32)).decrypt(SecretBox(KEY).encrypt("token"))


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_found_out(place: int, difference: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(SecretBox(KEY).encrypt("a secret").removeprefix("v1.")))
    raw[place % len(raw)] ^= difference
    with pytest.raises(SealedTextError):
        SecretBox(KEY).decrypt("v1." + base64.urlsafe_b64encode(raw).decode())


@pytest.mark.parametrize("text", ["", "v1.", "v1.AAAA", "v1.é", "plain", "v2.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
def test_a_text_that_was_never_sealed_is_refused(text: str) -> None:
    with pytest.raises(SealedTextError):
        SecretBox(KEY).decrypt(text)


def test_a_key_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SecretBox(b"short")


def test_each_purpose_has_a_key_of_its_own_that_never_changes() -> None:
    assert derive_key(KEY, PROVIDER_SECRETS) != derive_key(KEY, JOB_REFERENCES)
    assert derive_key(KEY, JOB_REFERENCES) != derive_key(bytes(32), JOB_REFERENCES)
    # Written down once: sealed credentials and links already sent depend on it.
    assert derive_key(KEY, JOB_REFERENCES).hex() == "180b8fb13c8577c2f1316461c7e3035b6029e95164892095e00ba5985f964a48"
