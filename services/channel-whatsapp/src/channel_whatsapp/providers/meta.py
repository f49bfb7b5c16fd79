"""WhatsApp through Meta's Cloud API: https://developers.facebook.com/docs/whatsapp/cloud-api.

Our reference travels in `biz_opaque_callback_data`, which every status webhook brings back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson

from sluice_catalog.models import ProviderAccount
from sluice_channel.http_calls import Answer, ProviderClient
from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    CallbackRequest,
    Limits,
    OutboundMessage,
    Outcome,
    Receipt,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
    WhatsAppMessage,
)
from sluice_contracts.vocabulary import Channel, Engagement, MessageState, SuppressionReason

BASE_URL: Final = "https://graph.facebook.com"
GRAPH_VERSION: Final = "v26.0"
CONCURRENCY: Final = 50
RATE_PER_SECOND: Final = 80.0
"""Throughput of a number by default: https://developers.facebook.com/docs/whatsapp/throughput."""

# https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes, by what we can do about each.
_TRANSIENT: Final = frozenset({1, 2, 131000, 131016, 133004, 131057, 132069})
_ACCOUNT_LIMIT: Final = frozenset({4, 80007})
_SENDER_LIMIT: Final = 130429
_PAIR_LIMIT: Final = 131056
_SENDER_PAUSED: Final = frozenset({131048, 131064})
_NOT_REACHABLE: Final = frozenset({131026, 131021, 131030, 131049, 130472, 131062})
_NO_MARKETING: Final = 131050
_WRONG_ACCOUNT: Final = frozenset(
    {0, 3, 10, 33, 190, 368, 130497, 131005, 131031, 131037, 131042, 131044, 131045, 131063, 133010, 133015}
)
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0

_STATES: Final[Mapping[str, MessageState]] = {
    "accepted": MessageState.ACCEPTED,
    "sent": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "played": MessageState.READ,
    "failed": MessageState.UNDELIVERED,
}


class MetaProvider:
    """Sends WhatsApp messages from one phone number.

    `config`: phone_number_id, graph_version; base_url only for tests. `secrets`: access_token (app_secret and
    verify_token are for the webhook's door).
    """

    channel = Channel.WHATSAPP
    name = "meta"
    matches_replies_by_address = True

    def __init__(self, account: ProviderAccount, *, allow_private: bool = False) -> None:
        version = quote(account.config.get("graph_version") or GRAPH_VERSION, safe=".")
        self._path = f"/{version}/{quote(str(account.config['phone_number_id']), safe='')}/messages"
        self.limits = Limits(
            batch=1, concurrency=CONCURRENCY, rate_per_second=account.rate_per_second or RATE_PER_SECOND
        )
        self._client = ProviderClient(
            account.config.get("base_url") or BASE_URL,
            connections=CONCURRENCY,
            headers={"Authorization": f"Bearer {account.secrets['access_token']}"},
            allow_private=allow_private,
        )

    async def send(self, messages: Sequence[OutboundMessage]) -> Sequence[Outcome]:
        return [await self._send(message) for message in messages]

    async def _send(self, message: OutboundMessage) -> Outcome:
        if not isinstance(message.content, WhatsAppMessage):
            return RejectMessage("wrong_content", "a WhatsApp account can only send WhatsApp messages")
        answer = await self._client.post(self._path, json=payload(message, message.content))
        return outcome_of(answer) if isinstance(answer, Answer) else answer

    async def look_up(self, references: Sequence[str]) -> Mapping[str, Outcome] | None:
        return None

    def parse_receipt(self, request: CallbackRequest) -> Sequence[Receipt]:
        """Read a webhook: any number of entries, changes, statuses and inbound messages; other fields are not ours."""
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            raise ValueError("the webhook is not JSON") from error
        if not isinstance(body, dict) or not isinstance(body.get("entry"), list):
            raise ValueError("the webhook has no entries")
        return list(_receipts(body))

    async def close(self) -> None:
        await self._client.close()


def payload(message: OutboundMessage, content: WhatsAppMessage) -> dict[str, Any]:
    """Return the body of a send; `recipient_type` and `policy` are in Meta's schema as required."""
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.address.removeprefix("+"),
        "biz_opaque_callback_data": message.reference,
    }
    if content.template_name is None:
        return body | {"type": "text", "text": {"body": content.text or content.preview, "preview_url": False}}
    template: dict[str, Any] = {
        "name": content.template_name,
        "language": {"policy": "deterministic", "code": content.language or "en_US"},
    }
    if content.components:
        template["components"] = [dict(component) for component in content.components]
    return body | {"type": "template", "template": template}


def outcome_of(answer: Answer) -> Outcome:
    """Return what Meta's answer to a send means: by its code, never by its title or the HTTP status alone."""
    messages = answer.body.get("messages")
    if answer.status == 200 and isinstance(messages, list) and messages and messages[0].get("id"):
        return Accepted(str(messages[0]["id"]), answers_from=_whatsapp_address(answer.body.get("contacts")))
    error = answer.body.get("error")
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        details = error.get("error_data")
        detail = (details.get("details") if isinstance(details, dict) else None) or error.get("message") or ""
        return refusal(
            error["code"], str(detail), retry_after=answer.retry_after, transient=bool(error.get("is_transient"))
        )
    if answer.status == 429:
        return Retry("429", "too many requests", answer.retry_after or 1.0, scope="account", burns_attempt=False)
    if answer.status >= 500:
        return Retry(str(answer.status), f"HTTP {answer.status}", answer.retry_after)
    if answer.status in {401, 403}:
        return RejectAccount(str(answer.status), f"HTTP {answer.status}")
    if answer.status == 200:
        return Ambiguous("Meta's answer names no message")
    return RejectMessage(str(answer.status), f"HTTP {answer.status}")


def refusal(code: int, detail: str, *, retry_after: float | None = None, transient: bool = False) -> Outcome:
    """Return what an error code means; the same codes come at once and, later, in webhooks."""
    text = str(code)
    if code in _ACCOUNT_LIMIT:
        return Retry(text, detail, retry_after or _MINUTE, scope="account", burns_attempt=False)
    if code == _SENDER_LIMIT:
        return Retry(text, detail, retry_after or 2.0, scope="sender", burns_attempt=False)
    if code == _PAIR_LIMIT:
        return Retry(text, detail, retry_after or 6.0, scope="recipient")
    if code in _SENDER_PAUSED:
        return Retry(text, detail, _HOUR, scope="sender", burns_attempt=False)
    if code == _NO_MARKETING:
        return RejectRecipient(text, detail, suppress=SuppressionReason.UNSUBSCRIBED)
    if code in _NOT_REACHABLE:
        return RejectRecipient(text, detail)
    if code in _WRONG_ACCOUNT or 200 <= code <= 299:
        return RejectAccount(text, detail)
    if code in _TRANSIENT or transient:
        return Retry(text, detail, retry_after)
    return RejectMessage(text, detail)


def _whatsapp_address(contacts: object) -> str | None:
    """Return where the recipient is on WhatsApp: in BR, MX and AR not always under the number as it is dialled."""
    match contacts:
        case [{"wa_id": str(identifier)}, *_] if identifier.isascii() and identifier.isdigit():
            return f"+{identifier}"
        case _:
            return None


def _receipts(body: Mapping[str, Any]) -> Iterator[Receipt]:
    for entry in body["entry"]:
        for change in entry.get("changes", ()):
            value = change.get("value") or {}
            if change.get("field") == "messages":
                yield from (_status(status) for status in value.get("statuses", ()) if status.get("status") in _STATES)
                yield from map(_inbound, value.get("messages", ()))
            elif change.get("field") == "user_preferences":
                yield from map(_preference, value.get("user_preferences", ()))


def _status(status: Mapping[str, Any]) -> Receipt:
    errors = status.get("errors") or [{}]
    code = errors[0].get("code")
    details = errors[0].get("error_data") or {}
    meaning = refusal(code, "") if isinstance(code, int) else None
    return Receipt(
        status.get("biz_opaque_callback_data"),
        status.get("id"),
        message=_STATES[status["status"]],
        at_ms=_milliseconds(status.get("timestamp")),
        code=None if code is None else str(code),
        detail=details.get("details") or errors[0].get("title"),
        suppress=meaning.suppress if isinstance(meaning, RejectRecipient) else None,
    )


def _inbound(message: Mapping[str, Any]) -> Receipt:
    kind = message.get("type")
    text = ""
    if kind == "text":
        text = (message.get("text") or {}).get("body", "")
    elif kind == "button":
        text = (message.get("button") or {}).get("text", "")
    stops = " ".join(text.split()).upper() in {"STOP", "UNSUBSCRIBE"}
    return Receipt(
        None,
        (message.get("context") or {}).get("id"),
        engagement=Engagement.UNSUBSCRIBED if stops else Engagement.REPLIED,
        at_ms=_milliseconds(message.get("timestamp")),
        address=f"+{message['from'].removeprefix('+')}" if message.get("from") else None,
        suppress=SuppressionReason.STOP if stops else None,
    )


def _preference(preference: Mapping[str, Any]) -> Receipt:
    stops = preference.get("value") == "stop"
    sender = preference.get("wa_id")
    return Receipt(
        None,
        engagement=Engagement.UNSUBSCRIBED if stops else None,
        address=f"+{sender}" if sender else None,
        suppress=SuppressionReason.STOP if stops else None,
        resubscribe=not stops,
    )


def _milliseconds(seconds: object) -> int | None:
    text = str(seconds or "")
    return int(text) * 1000 if text.isascii() and text.isdigit() else None
