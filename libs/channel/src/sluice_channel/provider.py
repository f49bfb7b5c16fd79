"""The one protocol that every provider speaks, on every channel, the sandbox included.

What there is one of for every message is a tuple with names: the cheapest thing that cannot be changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

from sluice_catalog.models import ProviderAccount
from sluice_contracts.vocabulary import Channel, Engagement, JobState, MessageState, SuppressionReason


class SmsMessage(NamedTuple):
    """A rendered text with the way it will travel: `encoding` "GSM-7" or "UCS-2", in `segments` parts."""

    text: str
    encoding: str
    segments: int


class EmailMessage(NamedTuple):
    """A rendered email. `headers` are ours (List-Unsubscribe and such); values may hold anything a variable held."""

    subject: str
    html: str | None
    text: str | None
    from_email: str | None
    from_name: str | None
    reply_to: str | None
    headers: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class WhatsAppMessage:
    """A rendered provider-side template with its parameters, or a free text. `preview` is what the person will read."""

    preview: str
    template_name: str | None = None
    language: str | None = None
    components: Sequence[Mapping[str, Any]] = ()
    text: str | None = None


RenderedMessage = SmsMessage | EmailMessage | WhatsAppMessage


class OutboundMessage(NamedTuple):
    """One hand-over. `reference` is signed and comes back on every receipt; `job_id` is the job's public id."""

    reference: str
    job_id: str
    trigger_id: str
    address: str
    content: RenderedMessage
    sender: str | None = None
    attempt: int = 1


class Accepted(NamedTuple):
    """The provider took responsibility. `state` may say more (a provider without receipts delivers at once).

    `answers_from` is the address that the recipient's replies will come from, where it is not the one written to.
    """

    provider_id: str | None
    state: MessageState = MessageState.ACCEPTED
    segments: int | None = None
    answers_from: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Temporary. `after` is in seconds, None to let the backoff decide. Scope says what must wait.

    A rate limit (`burns_attempt` False) pauses the bucket and costs the job no attempt.
    """

    code: str
    detail: str
    after: float | None = None
    scope: Literal["message", "recipient", "sender", "account", "connection"] = "message"
    burns_attempt: bool = True


@dataclass(frozen=True, slots=True)
class RejectRecipient:
    """This address cannot get it; `suppress` puts it on the suppression list for that reason."""

    code: str
    detail: str
    suppress: SuppressionReason | None = None


@dataclass(frozen=True, slots=True)
class RejectMessage:
    """Content, template or payload is wrong; the address is not to blame."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class RejectAccount:
    """Credentials, billing or policy: opens the account's circuit; its messages stay queued."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The request went out and no answer came: the provider may or may not have it."""

    detail: str


Outcome = Accepted | Retry | RejectRecipient | RejectMessage | RejectAccount | Ambiguous


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call and one account can take. `batch` messages a call, `concurrency` calls at once.

    `spread`: a call takes longer with every message, so that as many calls at once as may be share those of a wave.
    `rate_per_second` is the provider's own default where the account sets none; None is no limit.
    """

    batch: int = 1
    concurrency: int = 50
    spread: bool = False
    rate_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A verified callback as ingest took it in."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    content_type: str
    body: bytes


class Receipt(NamedTuple):
    """What one callback says about one message, in our words.

    It names its job by `reference`, or, where the provider cannot carry one, by the `address` of whoever wrote back.
    `at_ms` is the provider's own time in Unix milliseconds, None where it gives none. `suppress` asks that the
    address be suppressed; `resubscribe` that a suppression for STOP be lifted.
    """

    reference: str | None
    provider_id: str | None = None
    message: MessageState | None = None
    engagement: Engagement | None = None
    at_ms: int | None = None
    code: str | None = None
    detail: str | None = None
    address: str | None = None
    suppress: SuppressionReason | None = None
    resubscribe: bool = False
    cost_micros: int | None = None
    segments: int | None = None


class Provider(Protocol):
    """One provider account, ready to send. Built once for an account and used by many tasks at once."""

    channel: Channel
    name: str
    limits: Limits

    async def send(self, messages: Sequence[OutboundMessage]) -> Sequence[Outcome]:
        """Hand over at most `limits.batch` messages of one trigger; return one outcome each, in order.

        Never raises for anything that a provider or a network does: that is an outcome. What was written and not
        answered is `Ambiguous`; what was certainly never written is `Retry`.
        """
        ...

    async def look_up(self, references: Sequence[str]) -> Mapping[str, Outcome] | None:
        """Ask what became of messages by our own reference: None where the provider cannot say at all.

        A reference missing from the answer was never handed over.
        """
        ...

    def parse_receipt(self, request: CallbackRequest) -> Sequence[Receipt]:
        """Read a callback.

        Raises ValueError when it cannot be read: the callback then goes to the dead letters.
        """
        ...

    async def close(self) -> None:
        """Give connections back. Idempotent."""
        ...


class ProviderFactory(Protocol):
    """Makes the provider of one kind for one account; registered by name in each channel service's `app`."""

    def __call__(self, account: ProviderAccount) -> Provider: ...


def state_of(outcome: Outcome) -> JobState | None:
    """Return the job state that an outcome settles, None where it does not settle one."""
    match outcome:
        case Accepted():
            return JobState.SENT
        case RejectRecipient() | RejectMessage():
            return JobState.FAILED
        case _:
            return None
