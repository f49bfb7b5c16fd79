"""The hand-over itself: messages to a provider in batches, with bounded concurrency, each under a good lease."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from sluice_channel.accounts import ActiveAccount
from sluice_channel.ledger import Lease
from sluice_channel.pacing import Pacing, Reservation
from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    OutboundMessage,
    Outcome,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
)
from sluice_contracts.vocabulary import HoldCode, Lane
from sluice_runtime import metrics, tracing
from sluice_runtime.clock import Clock
from sluice_storage.errors import is_transient

LONGEST_CALL_SECONDS: Final = 120.0
"""A provider answers or gives up long before; this is for one that hangs for ever."""

_LARGEST_BURST_SECONDS: Final = 0.1
"""Of a rate-limited account, no more messages go out at once than it may take in this time."""

_OUTCOMES: Final[dict[type[Outcome], str]] = {
    Accepted: "accepted",
    Retry: "retry",
    RejectRecipient: "reject_recipient",
    RejectMessage: "reject_message",
    RejectAccount: "reject_account",
    Ambiguous: "ambiguous",
}

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Withheld:
    """A message that was claimed and then, for certain, not handed over: it comes back at `until`."""

    code: HoldCode
    until: datetime


class WaveSender:
    """Hands over the messages of one wave through one account.

    `lane` is whose places at the provider it takes; `reservation` says when each message has its slot, None without a
    rate limit.
    """

    def __init__(
        self,
        clock: Clock,
        pacing: Pacing,
        active: ActiveAccount,
        lane: Lane,
        lease: Lease,
        reservation: Reservation | None,
    ) -> None:
        self._clock = clock
        self._pacing = pacing
        self._active = active
        self._places = active.places[lane]
        self._calls_at_once = active.calls_at_once[lane]
        self._lease = lease
        self._reservation = reservation

    async def send(self, messages: Sequence[OutboundMessage]) -> list[Outcome | Withheld]:
        """Return what came of each message, in order. Raises nothing that a provider does."""
        if self._active.circuit.is_closed:
            return await self._in_batches(messages)
        # One message finds out whether the account works again; the others follow if it does.
        return [*await self._hand_over(messages[:1], 0.0), *await self._in_batches(messages[1:])]

    async def _in_batches(self, messages: Sequence[OutboundMessage]) -> list[Outcome | Withheld]:
        size = max(1, self._active.limits.batch)
        if self._active.limits.spread:
            size = min(size, max(1, -(-len(messages) // self._calls_at_once)))
        interval = 0.0 if self._reservation is None else self._reservation.interval
        if interval:
            size = min(size, max(1, int(_LARGEST_BURST_SECONDS / interval)))
        batches = [
            self._hand_over(messages[first : first + size], first * interval) for first in range(0, len(messages), size)
        ]
        if len(batches) == 1:
            return await batches[0]
        return [result for results in await asyncio.gather(*batches) for result in results]

    async def _hand_over(self, batch: Sequence[OutboundMessage], wait: float) -> list[Outcome | Withheld]:
        if wait > 0:
            await asyncio.sleep(wait)
        async with self._places:
            withheld = self._withheld(batch[0].sender, self._clock.now())
            if withheld is not None:
                return [withheld] * len(batch)
            outcomes = await self._call(batch)
        for kind, count in Counter(map(type, outcomes)).items():
            metrics.SENDS.labels(self._active.account.provider, _OUTCOMES[kind]).inc(count)
        pause = self._active.learn(outcomes, batch[0].sender, self._clock.now())
        if pause is not None and self._active.rate_per_second is not None:
            await self._pause_everybody(pause)
        return list(outcomes)

    def _withheld(self, sender: str | None, now: datetime) -> Withheld | None:
        if not self._lease.is_good:
            return Withheld(HoldCode.RETRY, now)
        paused_until = self._active.paused_until(sender, now)
        if paused_until is not None:
            return Withheld(HoldCode.RATE, paused_until)
        if not self._active.circuit.admit(now):
            return Withheld(HoldCode.PROVIDER_UNAVAILABLE, self._active.circuit.due(now))
        return None

    async def _pause_everybody(self, pause: timedelta) -> None:
        try:
            await self._pacing.pause(self._active.account.id, pause)
        except Exception as error:
            if not is_transient(error):
                raise
            # This copy pauses anyway; the others will be told by the provider itself.
            _log.warning("pause.not_shared", error=type(error).__name__)

    async def _call(self, batch: Sequence[OutboundMessage]) -> Sequence[Outcome]:
        active, provider = self._active, self._active.account.provider
        started = time.perf_counter()
        with tracing.span(
            "provider.send",
            attributes={
                "provider.name": provider,
                "provider.account": str(active.account.id),
                "messaging.batch.message_count": len(batch),
            },
        ):
            try:
                async with asyncio.timeout(LONGEST_CALL_SECONDS):
                    outcomes = await active.provider.send(batch)
            except Exception as error:  # noqa: BLE001 - whatever escapes a provider, the messages may have gone out
                _log.exception("provider.failed", provider=provider, account=str(active.account.id))
                return [Ambiguous(type(error).__name__)] * len(batch)
            finally:
                active.send_seconds.observe(time.perf_counter() - started)
        if len(outcomes) != len(batch):
            _log.error("provider.miscounted", provider=provider, messages=len(batch), outcomes=len(outcomes))
            return [Ambiguous("the provider's outcomes do not fit its messages")] * len(batch)
        return outcomes
