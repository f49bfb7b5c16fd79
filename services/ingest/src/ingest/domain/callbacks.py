"""What is kept of a provider's callback, and which record key it travels under."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Final
from urllib.parse import parse_qs

from sluice_catalog.models import ProviderAccount
from sluice_contracts.messages.receipt import CallbackReceived

KEPT_HEADERS: Final[Mapping[str, frozenset[str]]] = {
    "twilio": frozenset({"i-twilio-idempotency-token"}),
    "smtp": frozenset({"content-transfer-encoding"}),
}
"""The headers that a provider's module reads beside the content type, in lower case; the rest stays at the door."""

_MESSAGE_ID_FIELDS: Final = ("MessageSid", "SmsSid")


def callback(
    account: ProviderAccount,
    *,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    content_type: str,
    body: bytes,
    now: datetime,
) -> CallbackReceived:
    """Return the record of a verified callback. The token that proved it is not part of it."""
    kept = KEPT_HEADERS.get(account.provider, frozenset())
    return CallbackReceived(
        channel=account.channel,
        workspace_id=account.workspace_id,
        account_id=account.id,
        provider=account.provider,
        received_at=now,
        content_type=content_type,
        query={name: value for name, value in query.items() if name != "token"},
        headers={name: value for name, value in headers.items() if name in kept},
        body=b64encode(body).decode(),
    )


def record_key(query: Mapping[str, str], content_type: str, body: bytes) -> bytes:
    """Return what keeps callbacks about one message in order: our reference, the provider's id, or else the content.

    What a person writes keeps the order in which they wrote it: STOP and START mean something else the other way round.
    """
    reference = query.get("ref")
    if reference:
        return reference.encode()[:200]
    if content_type.startswith("application/x-www-form-urlencoded"):
        fields = parse_qs(body[:16_384].decode("utf-8", "replace"))
        for name in ("From", *_MESSAGE_ID_FIELDS) if "Body" in fields else _MESSAGE_ID_FIELDS:
            if name in fields:
                return fields[name][0].encode()[:200]
    return blake2b(body, digest_size=16).hexdigest().encode()
