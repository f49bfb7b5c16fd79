"""Twilio Programmable Messaging: https://www.twilio.com/docs/messaging/api/message-resource.

Twilio has no idempotency key, so a call that broke after it was written is ambiguous. Our reference travels in the
query string of the status callback, which Twilio signs together with the rest of the URL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, quote

import aiohttp

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
    SmsMessage,
)
from sluice_contracts.vocabulary import Channel, Engagement, MessageState, SuppressionReason

BASE_URL: Final = "https://api.twilio.com"
CONCURRENCY: Final = 50

# https://www.twilio.com/docs/api/errors, by what we can do about each.
_INVALID_NUMBERS: Final = frozenset({21211, 21614, 21217, 21265, 21635, 30005, 30006})
_STOPPED: Final = 21610
_UNREACHABLE: Final = frozenset({30003, 30004})
_WRONG_MESSAGE: Final = frozenset({21602, 21617, 21619, 30007})
_WRONG_ACCOUNT: Final = frozenset({20003, 20404, 21408, 21606, 21608, 21212, 21612, 21659, 30002, 30010, 30032, 30034})
_QUEUE_FULL: Final = frozenset({21611, 30001})
_DAILY_LIMIT: Final = frozenset({30022, 30023, 63038})
_CONCURRENCY: Final = 20429
_SENDER_PAUSE_SECONDS: Final = 10.0
_DAY_SECONDS: Final = 86_400.0

_STATES: Final[Mapping[str, MessageState]] = {
    "accepted": MessageState.ACCEPTED,
    "scheduled": MessageState.ACCEPTED,
    "queued": MessageState.ACCEPTED,
    "sending": MessageState.ACCEPTED,
    "sent": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "partially_delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "undelivered": MessageState.UNDELIVERED,
    "failed": MessageState.UNDELIVERED,
    "canceled": MessageState.REJECTED,
}
_EXPIRED: Final = frozenset({"30036", "30410"})

STOP_WORDS: Final = frozenset(
    {
        "STOP",
        "STOPALL",
        "STOP ALL",
        "UNSUBSCRIBE",
        "CANCEL",
        "END",
        "QUIT",
        "REVOKE",
        "OPTOUT",
        "OPT-OUT",
        "ARRET",
        "REMOVE",
    }
)
START_WORDS: Final = frozenset({"START", "YES", "UNSTOP"})


class TwilioProvider:
    """Sends SMS through one Twilio account.

    `config`: account_sid, and `from` (an E.164 number, short code or alphanumeric sender) or messaging_service_sid;
    callback_url is where status callbacks go; base_url only for tests and regions. `secrets`: auth_token.
    """

    channel = Channel.SMS
    name = "twilio"
    matches_replies_by_address = True

    def __init__(self, account: ProviderAccount, *, callback_url: str, allow_private: bool = False) -> None:
        self._config: dict[str, Any] = account.config
        self._callback_url = f"{callback_url.rstrip('/')}/callbacks/sms/{account.id}"
        self._path = f"/2010-04-01/Accounts/{quote(account.config['account_sid'], safe='')}/Messages.json"
        self.limits = Limits(batch=1, concurrency=CONCURRENCY, rate_per_second=account.rate_per_second)
        self._client = ProviderClient(
            account.config.get("base_url") or BASE_URL,
            connections=CONCURRENCY,
            headers={
                "Authorization": aiohttp.encode_basic_auth(account.config["account_sid"], account.secrets["auth_token"])
            },
            allow_private=allow_private,
        )

    async def send(self, messages: Sequence[OutboundMessage]) -> Sequence[Outcome]:
        return [await self._send(message) for message in messages]

    async def _send(self, message: OutboundMessage) -> Outcome:
        if not isinstance(message.content, SmsMessage):
            return RejectMessage("wrong_content", "a Twilio SMS account can only send SMS")
        form = {
            "To": message.address,
            "Body": message.content.text,
            "StatusCallback": f"{self._callback_url}?ref={message.reference}",
        }
        sender = message.sender or self._config.get("from")
        if service := self._config.get("messaging_service_sid"):
            form["MessagingServiceSid"] = service
        if sender:
            form["From"] = sender
        answer = await self._client.post(self._path, form=form)
        return outcome_of(answer) if isinstance(answer, Answer) else answer

    async def look_up(self, references: Sequence[str]) -> Mapping[str, Outcome] | None:
        return None

    def parse_receipt(self, request: CallbackRequest) -> Sequence[Receipt]:
        """Read a status callback or an inbound message; both are form posts."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
        if "MessageStatus" in form:
            return [_status(form, request.query.get("ref"))]
        if "From" in form and "Body" in form:
            return [_inbound(form)]
        raise ValueError("the callback is neither a message status nor an inbound message")

    async def close(self) -> None:
        await self._client.close()


def outcome_of(answer: Answer) -> Outcome:
    """Return what Twilio's answer to a send means."""
    if answer.status in {200, 201} and (sid := answer.body.get("sid")):
        segments = str(answer.body.get("num_segments") or "0")
        return Accepted(str(sid), segments=int(segments) if segments.isdigit() and segments != "0" else None)
    code = answer.body.get("code")
    detail = str(answer.body.get("message") or f"HTTP {answer.status}")
    if isinstance(code, int) and (known := _refusal(code, detail, answer.retry_after)):
        return known
    if answer.status == 429:
        return Retry("429", detail, answer.retry_after or 1.0, scope="account", burns_attempt=False)
    if answer.status in {401, 403}:
        return RejectAccount(str(code or answer.status), detail)
    if answer.status >= 500:
        return Retry(str(code or answer.status), detail, answer.retry_after)
    if 200 <= answer.status < 300:
        return Ambiguous("Twilio's answer names no message")
    return RejectMessage(str(code or answer.status), detail)


def _refusal(code: int, detail: str, retry_after: float | None) -> Outcome | None:
    text = str(code)
    if code in _INVALID_NUMBERS:
        return RejectRecipient(text, detail, suppress=SuppressionReason.HARD_BOUNCE)
    if code == _STOPPED:
        return RejectRecipient(text, detail, suppress=SuppressionReason.STOP)
    if code in _UNREACHABLE:
        return RejectRecipient(text, detail)
    if code in _WRONG_MESSAGE:
        return RejectMessage(text, detail)
    if code in _WRONG_ACCOUNT:
        return RejectAccount(text, detail)
    if code == _CONCURRENCY:
        return Retry(text, detail, retry_after or 1.0, scope="account", burns_attempt=False)
    if code in _QUEUE_FULL:
        return Retry(text, detail, retry_after or _SENDER_PAUSE_SECONDS, scope="sender", burns_attempt=False)
    if code in _DAILY_LIMIT:
        return Retry(text, detail, _DAY_SECONDS, scope="sender", burns_attempt=False)
    return None


def _status(form: Mapping[str, str], reference: str | None) -> Receipt:
    state = _STATES.get(form["MessageStatus"].lower())
    if state is None:
        raise ValueError(f"Twilio sent the unknown message status {form['MessageStatus']!r}")
    code = form.get("ErrorCode") or None
    if code in _EXPIRED and state.is_negative:
        state = MessageState.EXPIRED
    suppress = None
    if code and code.isdigit() and state.is_negative:
        refusal = _refusal(int(code), "", None)
        suppress = refusal.suppress if isinstance(refusal, RejectRecipient) else None
    return Receipt(reference, form.get("MessageSid"), message=state, code=code, suppress=suppress)


def _inbound(form: Mapping[str, str]) -> Receipt:
    """Read what somebody wrote back. Exactly one keyword stops or starts; "please stop" is only a reply."""
    words = " ".join(form["Body"].split()).upper()
    asked = form.get("OptOutType", "").upper()
    stops = asked == "STOP" or (not asked and words in STOP_WORDS)
    starts = asked == "START" or (not asked and words in START_WORDS)
    return Receipt(
        None,
        form.get("MessageSid"),
        engagement=Engagement.UNSUBSCRIBED if stops else Engagement.REPLIED,
        address=form["From"],
        suppress=SuppressionReason.STOP if stops else None,
        resubscribe=starts,
    )
