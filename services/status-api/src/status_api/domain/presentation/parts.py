"""The pieces that several bodies have in common."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from sluice_contracts.base import format_instant
from sluice_contracts.sentences import FAILURE_SENTENCES, FILTER_SENTENCES, HOLD_SENTENCES
from sluice_contracts.status import JobCounts
from sluice_contracts.vocabulary import Channel, FailureCode, FilterCode, HoldCode
from sluice_runtime.redaction import mask_address, mask_addresses_in
from status_api.domain.rows import ExecutionRow, ReasonRow

CURRENCY: Final = "USD"
SEGMENT_OF_PATH: Final[dict[Channel, str]] = {
    Channel.EMAIL: "messages",
    Channel.SMS: "sms",
    Channel.WHATSAPP: "whatsapp",
}
"""What stands for a channel in the paths of its executions."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(value: datetime | None) -> str | None:
    """Return a time as callers read it."""
    return None if value is None else format_instant(value)


def instant_of_milliseconds(value: int | None) -> str | None:
    """Return Unix milliseconds as callers read a time; None also where no calendar reaches."""
    if value is None:
        return None
    seconds, milliseconds = divmod(value, 1000)
    try:
        return f"{_second(seconds)}.{milliseconds:03}Z"
    except OverflowError:
        return None


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    """The second that is so many after the epoch: the jobs of a page were handed over within a few of them."""
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def dollars(micros: int) -> float:
    """Return an amount of millionths of a dollar in dollars."""
    return micros / 1_000_000


def job_counts(counts: JobCounts) -> dict[str, Any]:
    """Return the numbers that every `jobs` object begins with: `total` is the sum of the others."""
    return {
        "total": counts.total,
        "sent": counts.sent,
        "failed": counts.failed,
        "filtered": counts.filtered,
        "cancelled": counts.cancelled,
        "open": counts.open,
    }


def details_path(execution: ExecutionRow) -> str:
    """Return where the jobs of an execution are listed."""
    return f"/api/v1/{SEGMENT_OF_PATH[execution.channel]}/executions/{execution.execution_id}/jobs"


def filter_reasons(reasons: Iterable[ReasonRow], *, unmasked: bool) -> list[dict[str, Any]]:
    """Return why jobs were filtered, the commonest reason first."""
    ordered = sorted(reasons, key=lambda reason: (-reason.n, reason.code, reason.sentence))
    return [
        {
            "reason": _sentence(reason.sentence or sentence_of(reason.code), unmasked=unmasked),
            "code": reason.code,
            "count": reason.n,
            "contacts": [person(contact, unmasked=unmasked) for contact in reason.contacts],
        }
        for reason in ordered
    ]


def sentence_of(code: str | None) -> str | None:
    """Return the sentence behind one of our codes, None for a provider's."""
    if code is None:
        return None
    for vocabulary, sentences in (
        (FilterCode, FILTER_SENTENCES),
        (FailureCode, FAILURE_SENTENCES),
        (HoldCode, HOLD_SENTENCES),
    ):
        try:
            return sentences[vocabulary(code)]  # type: ignore[index]
        except ValueError:
            continue
    return None


def person(text: str, *, unmasked: bool) -> str:
    """Return an address or external id; one that is an address is masked unless `unmasked`."""
    looks_like_address = "@" in text or text.startswith("+")
    return mask_address(text) if looks_like_address and not unmasked else text


def address(text: str | None, *, unmasked: bool) -> str | None:
    """Return an address, masked unless `unmasked`."""
    return text if text is None or unmasked else mask_address(text)


def _sentence(text: str | None, *, unmasked: bool) -> str:
    if text is None:
        return ""
    return text if unmasked else mask_addresses_in(text)


def sentence(text: str | None, *, unmasked: bool) -> str | None:
    """Return a sentence for people, with the addresses in it masked unless `unmasked`."""
    return None if text is None else _sentence(text, unmasked=unmasked)
