"""Callbacks are taken from the provider alone."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from sluice_channel.signatures import (
    SignedRequest,
    meta_challenge,
    meta_signature,
    sandbox_secret,
    sandbox_signature,
    twilio_signature,
    verify,
)

FORM = {"content-type": "application/x-www-form-urlencoded"}
TOKEN = "12345"
FIELDS = {"CallSid": "CA1234567890ABCDE", "Digits": "1234", "From": "+14158675309", "To": "+18005551212", "Body": ""}


def form_request(url: str, signature: str, fields: dict[str, str] = FIELDS, settings: str = "") -> SignedRequest:
    return SignedRequest(
        "POST",
        url,
        {**FORM, "x-twilio-signature": signature, "x-twilio-webhooks-signature-settings": settings},
        urlencode(fields).encode(),
    )


def test_a_signature_made_by_twilios_own_library_is_taken() -> None:
    url = "https://example.com/callbacks/sms/1?ref=a%20b"
    signature = RequestValidator(TOKEN).compute_signature(url, FIELDS)
    assert verify("twilio", form_request(url, signature), {"auth_token": TOKEN})


def test_our_signature_equals_the_one_in_twilios_documentation() -> None:
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert twilio_signature(url, fields.items(), TOKEN) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    ("called", "signed"),
    [
        ("https://example.com/x", "https://example.com:443/x"),
        ("https://example.com:443/x", "https://example.com/x"),
        ("http://example.com/x", "http://example.com:80/x"),
        ("https://example.com:8443/x", "https://example.com/x"),
        ("http://[::1]/x", "http://[::1]:80/x"),
    ],
)
def test_twilio_may_sign_the_url_with_or_without_its_port(called: str, signed: str) -> None:
    signature = twilio_signature(signed, FIELDS.items(), TOKEN)
    assert verify("twilio", form_request(called, signature), {"auth_token": TOKEN})


def test_a_changed_field_url_or_secret_breaks_twilios_signature() -> None:
    url = "https://example.com/x"
    signature = twilio_signature(url, FIELDS.items(), TOKEN)
    assert not verify("twilio", form_request(url, signature, {**FIELDS, "To": "+1"}), {"auth_token": TOKEN})
    assert not verify("twilio", form_request(url + "?a=1", signature), {"auth_token": TOKEN})
    assert not verify("twilio", form_request(url, signature), {"auth_token": "another"})
    assert not verify("twilio", form_request(url, ""), {"auth_token": TOKEN})
    assert not verify("twilio", form_request(url, "ünïcode"), {"auth_token": TOKEN})


def test_a_field_that_repeats_counts_once_for_each_distinct_value() -> None:
    body = b"MediaUrl=b&MediaUrl=a&MediaUrl=b"
    signature = RequestValidator(TOKEN).compute_signature("https://e.com/x", _Repeated({"MediaUrl": ["b", "a", "b"]}))
    request = SignedRequest("POST", "https://e.com/x", {**FORM, "x-twilio-signature": signature}, body)
    assert verify("twilio", request, {"auth_token": TOKEN})


class _Repeated(dict[str, list[str]]):
    def getall(self, name: str) -> list[str]:
        return self[name]


def test_a_json_body_is_checked_through_its_hash_in_the_signed_url() -> None:
    body = b'{"status":"delivered"}'
    url = f"https://example.com/x?bodySHA256={sha256(body).hexdigest()}"
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    headers = {"content-type": "application/json", "x-twilio-signature": signature}
    assert verify("twilio", SignedRequest("POST", url, headers, body), {"auth_token": TOKEN})
    assert not verify("twilio", SignedRequest("POST", url, headers, body + b" "), {"auth_token": TOKEN})


def test_a_body_hash_does_not_let_form_fields_in_unsigned() -> None:
    url = f"https://example.com/x?bodySHA256={sha256(b'').hexdigest()}"
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    assert not verify("twilio", form_request(url, signature), {"auth_token": TOKEN})


def test_a_request_that_names_hmac_sha256_is_checked_with_the_shared_key() -> None:
    url = "https://example.com/x"
    signature = RequestValidator("shared").compute_signature(url, FIELDS, "HMAC_SHA256")
    request = form_request(url, signature, settings="key=webhooks_sharedkey_1,algorithm=HMAC_SHA256")
    assert verify("twilio", request, {"auth_token": TOKEN, "shared_key": "shared"})
    assert not verify("twilio", request, {"auth_token": "shared"})
    unknown = form_request(url, signature, settings="algorithm=HMAC_MD5")
    assert not verify("twilio", unknown, {"auth_token": TOKEN, "shared_key": "shared"})


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=8), st.text(min_size=1, max_size=30))
def test_we_agree_with_twilios_library_on_any_form(fields: dict[str, str], token: str) -> None:
    url = "https://example.com/callbacks?reference=x"
    signature = RequestValidator(token).compute_signature(url, fields)
    assert verify("twilio", form_request(url, signature, fields), {"auth_token": token})


@pytest.mark.parametrize(
    ("provider", "header", "sign", "secret_name"),
    [
        ("meta", "x-hub-signature-256", meta_signature, "app_secret"),
        ("sandbox", "x-sandbox-signature", sandbox_signature, "callback_secret"),
    ],
)
def test_a_body_signature_covers_every_byte(provider: str, header: str, sign: Any, secret_name: str) -> None:
    body = b'{"entry":[]}'
    headers = {header: sign(body, "secret")}
    assert headers[header].startswith("sha256=")
    assert verify(provider, SignedRequest("POST", "https://e.com", headers, body), {secret_name: "secret"})
    assert not verify(provider, SignedRequest("POST", "https://e.com", headers, body + b"\n"), {secret_name: "secret"})
    assert not verify(provider, SignedRequest("POST", "https://e.com", headers, body), {secret_name: "other"})
    assert not verify(provider, SignedRequest("POST", "https://e.com", {}, body), {secret_name: "secret"})


def test_each_sandbox_account_has_a_secret_of_its_own() -> None:
    first, second = UUID(int=1), UUID(int=2)
    assert sandbox_secret(b"s" * 32, first) == sandbox_secret(b"s" * 32, first)
    assert len({sandbox_secret(key, account) for key in (b"s" * 32, b"t" * 32) for account in (first, second)}) == 4


@pytest.mark.parametrize("provider", ["twilio", "meta", "sandbox", "smtp", "unknown"])
def test_an_account_without_a_secret_takes_nothing(provider: str) -> None:
    empty = SignedRequest("POST", "https://e.com/?token=", {"x-hub-signature-256": meta_signature(b"", "")})
    assert not verify(provider, empty, {})
    assert not verify(
        provider, empty, {"auth_token": "", "app_secret": "", "callback_secret": "", "callback_token": ""}
    )


def test_a_bounce_is_taken_with_the_accounts_token_alone() -> None:
    secrets = {"callback_token": "t0ken"}
    assert verify("smtp", SignedRequest("POST", "https://e.com/x?token=t0ken"), secrets)
    assert not verify("smtp", SignedRequest("POST", "https://e.com/x?token=other"), secrets)
    assert not verify("smtp", SignedRequest("POST", "https://e.com/x"), secrets)


def test_metas_registration_is_answered_with_its_challenge() -> None:
    url = "https://e.com/x?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=vt"
    assert meta_challenge(SignedRequest("GET", url), {"verify_token": "vt"}) == "1158201444"
    assert meta_challenge(SignedRequest("GET", url), {"verify_token": "other"}) is None
    assert meta_challenge(SignedRequest("GET", url), {}) is None
    assert meta_challenge(SignedRequest("GET", url.replace("subscribe", "other")), {"verify_token": "vt"}) is None


@given(st.binary(max_size=200), st.text(max_size=50), st.text(max_size=50))
def test_no_request_whatever_makes_a_check_raise(body: bytes, url: str, header: str) -> None:
    headers = {
        **FORM,
        "x-twilio-signature": header,
        "x-hub-signature-256": header,
        "x-sandbox-signature": header,
        "x-twilio-webhooks-signature-settings": header,
    }
    secrets = {"auth_token": "s", "shared_key": "s", "app_secret": "s", "callback_secret": "s", "callback_token": "s"}
    for provider in ("twilio", "meta", "sandbox", "smtp"):
        assert not verify(provider, SignedRequest("POST", f"https://e.com/{url}", headers, body), secrets)
