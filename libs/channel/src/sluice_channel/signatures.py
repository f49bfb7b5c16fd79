"""Whether a callback really comes from the provider: pure checks over what the request holds, in constant time.

What each provider signs with, by the name under which the account keeps it in `ProviderAccount.secrets`:

========  ==========================================================================================
twilio    `auth_token` (X-Twilio-Signature, HMAC-SHA1); `shared_key` where the request says HMAC-SHA256
meta      `app_secret` (X-Hub-Signature-256); `verify_token` (the GET that registers the webhook)
sandbox   `callback_secret` (X-Sandbox-Signature); nobody keeps one: both sides derive it, `sandbox_secret`
smtp      `callback_token` (query parameter `token`: a mail gateway can sign nothing)
========  ==========================================================================================
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit
from uuid import UUID

from sluice_runtime.secrets import derive_key

TWILIO_SIGNATURE: Final = "x-twilio-signature"
TWILIO_SETTINGS: Final = "x-twilio-webhooks-signature-settings"
META_SIGNATURE: Final = "x-hub-signature-256"
SANDBOX_SIGNATURE: Final = "x-sandbox-signature"

_TWILIO_ALGORITHMS: Final[Mapping[str, tuple[Callable[..., Any], str]]] = {
    "HMAC_SHA1": (sha1, "auth_token"),
    "HMAC_SHA256": (sha256, "shared_key"),
}
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MAX_FORM_FIELDS: Final = 500


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A callback as it came in. `url` is the one that the provider called, seen from outside, with its query.

    `headers` has lower-case names.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes = b""


def verify(provider: str, request: SignedRequest, secrets: Mapping[str, str]) -> bool:
    """Say whether `request` comes from `provider`. False too where the account has no secret, or nobody can tell."""
    check = _CHECKS.get(provider)
    return check is not None and check(request, secrets)


def meta_challenge(request: SignedRequest, secrets: Mapping[str, str]) -> str | None:
    """Return what to answer Meta's registration GET with, None where it does not know the account's `verify_token`."""
    query = parse_qs(urlsplit(request.url).query)
    challenge = query.get("hub.challenge", [""])[0]
    if query.get("hub.mode") != ["subscribe"] or not challenge:
        return None
    return challenge if _same(query.get("hub.verify_token", [""])[0], secrets.get("verify_token")) else None


def twilio_signature(
    url: str, fields: Iterable[tuple[str, str]], secret: str, algorithm: Callable[..., Any] = sha1
) -> str:
    """Return Twilio's signature over a URL and form fields: names in order, each with its distinct values in order."""
    signed = url + "".join(name + value for name, value in sorted(set(fields)))
    return b64encode(hmac.digest(secret.encode(), signed.encode("utf-8", "surrogateescape"), algorithm)).decode()


def meta_signature(body: bytes, app_secret: str) -> str:
    """Return the value of `X-Hub-Signature-256` for `body`."""
    return "sha256=" + hmac.digest(app_secret.encode(), body, sha256).hex()


def sandbox_secret(installation_secret: bytes, account_id: UUID) -> str:
    """Return the `callback_secret` of a sandbox account, made from the installation's secret: it has no credentials."""
    return hmac.digest(derive_key(installation_secret, "sandbox-callbacks"), account_id.bytes, sha256).hex()


def sandbox_signature(body: bytes, callback_secret: str) -> str:
    """Return the value of `X-Sandbox-Signature` for `body`."""
    return "sha256=" + hmac.digest(callback_secret.encode(), body, sha256).hex()


def _twilio(request: SignedRequest, secrets: Mapping[str, str]) -> bool:
    algorithm, secret_name = _TWILIO_ALGORITHMS.get(_twilio_algorithm(request), (None, ""))
    secret, given = secrets.get(secret_name), request.headers.get(TWILIO_SIGNATURE, "")
    if algorithm is None or not secret or not given:
        return False
    fields: list[tuple[str, str]] | None = []
    body_hash = parse_qs(urlsplit(request.url).query).get("bodySHA256")
    if body_hash is None:
        fields = _form_fields(request)
    elif not _same(sha256(request.body).hexdigest(), body_hash[0].lower()):
        # Twilio signs a JSON body by its hash in the signed URL, and then no fields.
        return False
    if fields is None:
        return False
    urls = _with_and_without_port(request.url)
    return any(_same(twilio_signature(url, fields, secret, algorithm), given) for url in urls)


def _twilio_algorithm(request: SignedRequest) -> str:
    for part in request.headers.get(TWILIO_SETTINGS, "").split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _form_fields(request: SignedRequest) -> list[tuple[str, str]] | None:
    if not request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return []
    try:
        return parse_qsl(
            request.body.decode("utf-8", "surrogateescape"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=_MAX_FORM_FIELDS,
        )
    except ValueError:
        return None


def _with_and_without_port(url: str) -> set[str]:
    """Twilio's own servers disagree on whether the default port belongs to the URL that they sign."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return {url}
    if port is None:
        default = _DEFAULT_PORTS.get(parts.scheme)
        return {url, url.replace(parts.netloc, f"{parts.netloc}:{default}", 1)}
    return {url, url.replace(parts.netloc, parts.netloc.removesuffix(f":{port}"), 1)}


def _meta(request: SignedRequest, secrets: Mapping[str, str]) -> bool:
    secret = secrets.get("app_secret")
    return bool(secret) and _same(meta_signature(request.body, secret or ""), request.headers.get(META_SIGNATURE))


def _sandbox(request: SignedRequest, secrets: Mapping[str, str]) -> bool:
    secret = secrets.get("callback_secret")
    return bool(secret) and _same(sandbox_signature(request.body, secret or ""), request.headers.get(SANDBOX_SIGNATURE))


def _smtp(request: SignedRequest, secrets: Mapping[str, str]) -> bool:
    return _same(parse_qs(urlsplit(request.url).query).get("token", [""])[0], secrets.get("callback_token"))


def _same(left: str | None, right: str | None) -> bool:
    """Compare in constant time; nothing is never the same as nothing."""
    if not left or not right:
        return False
    return hmac.compare_digest(left.encode("utf-8", "surrogateescape"), right.encode("utf-8", "surrogateescape"))


_CHECKS: Final[Mapping[str, Callable[[SignedRequest, Mapping[str, str]], bool]]] = {
    "twilio": _twilio,
    "meta": _meta,
    "sandbox": _sandbox,
    "smtp": _smtp,
}
