"""The hand-over itself: messages to a provider in batches, with bounded concurrency, each under a good lease."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from sluice_channel.accounts import ActiveAccount
from sluice_channel.ledger import Lease
from sluice_channel.pacing import Reservation
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
from sluice_contracts.vocabulary import HoldCode
from sluice_runtime import metrics, tracing
from sluice_runtime.clock import Clock

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

PauseEverybody = Callable[[timedelta], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Withheld:
    """A message that was claimed and then, for certain, not handed over: it comes back at `until`."""

    code: HoldCode
    until: datetime


class Sender:
    """Hands over the messages of one wave."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def send(
        self,
        active: ActiveAccount,
        messages: Sequence[OutboundMessage],
        lease: Lease,
        reservation: Reservation | None,
        pause_everybody: PauseEverybody,
    ) -> list[Outcome | Withheld]:
        """Return what came of each message, in order. Raises nothing that a provider does."""
        size = max(1, active.limits.batch)
        if reservation is not None:
            size = min(size, max(1, int(_LARGEST_BURST_SECONDS / reservation.interval)))
        if not active.circuit.is_closed:
            # One message finds out whether the account works again; the others follow if it does.
            return [
                *await self._hand_over(active, messages[:1], lease, 0.0, pause_everybody),
                *await self._in_batches(active, messages[1:], lease, None, pause_everybody, size),
            ]
        return await self._in_batches(active, messages, lease, reservation, pause_everybody, size)

    async def _in_batches(
        self,
        active: ActiveAccount,
        messages: Sequence[OutboundMessage],
        lease: Lease,
        reservation: Reservation | None,
        pause_everybody: PauseEverybody,
        size: int,
    ) -> list[Outcome | Withheld]:
        started = 0.0 if reservation is None else reservation.wait
        batches = [
            self._hand_over(
                active,
                messages[first : first + size],
                lease,
                0.0 if reservation is None else reservation.slot(first) - started,
                pause_everybody,
            )
            for first in range(0, len(messages), size)
        ]
        if len(batches) == 1:
            return await batches[0]
        return [result for results in await asyncio.gather(*batches) for result in results]

    async def _hand_over(
        self,
        active: ActiveAccount,
        batch: Sequence[OutboundMessage],
        lease: Lease,
        wait: float,
        pause_everybody: PauseEverybody,
    ) -> list[Outcome | Withheld]:
        if wait > 0:
            await asyncio.sleep(wait)
        async with active.places:
            now = self._clock.now()
            withheld = self._withheld(active, batch[0].sender, lease, now)
            if withheld is not None:
                return [withheld] * len(batch)
            outcomes = await self._call(active, batch)
        now = self._clock.now()
        for kind, count in Counter(map(type, outcomes)).items():
            metrics.SENDS.labels(active.account.provider, _OUTCOMES[kind]).inc(count)
        pause = active.learn(outcomes, batch[0].sender, now)
        if pause is not None and active.rate_per_second is not None:
            await pause_everybody(pause)
        return list(outcomes)

    def _withheld(self, active: ActiveAccount, sender: str | None, lease: Lease, now: datetime) -> Withheld | None:
        if not lease.is_good:
            return Withheld(HoldCode.RETRY, now)
        paused_until = active.paused_until(sender, now)
        if paused_until is not None:
            return Withheld(HoldCode.RATE, paused_until)
        if not active.circuit.admit(now):
            return Withheld(HoldCode.PROVIDER_UNAVAILABLE, active.circuit.due(now))
        return None

    async def _call(self, active: ActiveAccount, batch: Sequence[OutboundMessage]) -> Sequence[Outcome]:
        provider = active.account.provider
        started = time.perf_counter()
        with tracing.tracer().start_as_current_span(
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
                metrics.SEND_SECONDS.labels(provider).observe(time.perf_counter() - started)
        if len(outcomes) != len(batch):
            _log.error("provider.miscounted", provider=provider, messages=len(batch), outcomes=len(outcomes))
            return [Ambiguous("the provider's outcomes do not fit its messages")] * len(batch)
        return outcomes
