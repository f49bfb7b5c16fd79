"""The provider accounts that this process sends through: one provider each, with its circuit and its pauses."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from sluice_catalog.models import ProviderAccount
from sluice_catalog.repository import Catalog
from sluice_channel.costs import PriceList
from sluice_channel.domain.circuit import Circuit
from sluice_channel.provider import (
    Accepted,
    Limits,
    Outcome,
    Provider,
    ProviderFactory,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
)
from sluice_contracts.messages.content import Sender
from sluice_contracts.vocabulary import Channel, Lane
from sluice_runtime import metrics

_CAPACITY: Final = 1000
_GRACE_SECONDS: Final = 120.0
"""How long a provider that was replaced stays open for what is still on its way through it."""

_DEFAULT_PAUSE: Final = timedelta(seconds=2)

_log = structlog.get_logger()


def shares(concurrency: int) -> tuple[int, int]:
    """Return how many calls at once each lane may make: a code must not queue behind a campaign for a free place."""
    priority = max(1, concurrency // 4)
    return priority, max(1, concurrency - priority)


class ActiveAccount:
    """One provider account in use, and what this process has learned about it."""

    def __init__(self, account: ProviderAccount, provider: Provider) -> None:
        self.account = account
        self.provider = provider
        self.circuit = Circuit()
        priority, bulk = shares(self.limits.concurrency)
        self.calls_at_once = {Lane.PRIORITY: priority, Lane.BULK: bulk}
        self.places = {lane: asyncio.Semaphore(calls) for lane, calls in self.calls_at_once.items()}
        self.prices = PriceList(account.channel, account.config.get("prices"))
        self.matches_replies_by_address = bool(getattr(provider, "matches_replies_by_address", False))
        self.send_seconds = metrics.SEND_SECONDS.labels(account.provider)
        self._circuit_open = metrics.CIRCUIT_OPEN.labels(account.provider, str(account.id))
        self._pauses: dict[str | None, datetime] = {}

    @property
    def limits(self) -> Limits:
        """The provider's declared limits."""
        return self.provider.limits

    @property
    def rate_per_second(self) -> float | None:
        """Messages a second that all copies together may hand over; None is no limit."""
        return self.account.rate_per_second or self.provider.limits.rate_per_second

    def paused_until(self, sender: str | None, now: datetime) -> datetime | None:
        """Return until when the account, or this sender of it, must wait because the provider said so."""
        until = max((self._pauses[key] for key in (None, sender) if key in self._pauses), default=None)
        return until if until is not None and until > now else None

    def learn(self, outcomes: Sequence[Outcome], sender: str | None, now: datetime) -> timedelta | None:
        """Take in what outcomes say about the account; return for how long all of it must pause, if so."""
        if all(isinstance(outcome, Accepted) for outcome in outcomes):
            self.circuit.succeed()
            pauses = []
        else:
            pauses = [pause for outcome in outcomes if (pause := self._learn(outcome, sender, now)) is not None]
        self._circuit_open.set(not self.circuit.is_closed)
        return max(pauses, default=None)

    def _learn(self, outcome: Outcome, sender: str | None, now: datetime) -> timedelta | None:
        match outcome:
            case Accepted():
                self.circuit.succeed()
            case RejectAccount(code, detail):
                if self.circuit.is_closed:
                    _log.error(
                        "account.refused",
                        account=str(self.account.id), provider=self.account.provider, code=code, detail=detail,
                    )  # fmt: skip
                self.circuit.refuse(now)
            case Retry(scope="account" | "sender" as scope, burns_attempt=False, after=after):
                pause = _DEFAULT_PAUSE if after is None else timedelta(seconds=max(after, 0))
                key = None if scope == "account" else sender
                self._pauses[key] = max(now + pause, self._pauses.get(key, now))
                return pause if scope == "account" else None
            case Retry(scope="account" | "connection"):
                self.circuit.fault(now)
            case RejectRecipient() | RejectMessage():
                self.circuit.succeed()
            case _:
                pass
        return None


class Accounts:
    """Finds the account that a command is sent through, and keeps its provider open."""

    def __init__(self, catalog: Catalog, channel: Channel, factories: Mapping[str, ProviderFactory]) -> None:
        self._catalog = catalog
        self._channel = channel
        self._factories = factories
        self._active: OrderedDict[UUID, ActiveAccount] = OrderedDict()
        self._retired: list[tuple[float, Provider]] = []

    async def choose(self, workspace_id: UUID, sender: Sender) -> ActiveAccount | None:
        """Return the sandbox where `sender` asks for it, or the account that it names, or the workspace's default.

        None where there is none, or its provider cannot be made with what its config and secrets say.
        """
        if sender.sandbox:
            account = await self._catalog.sandbox_account(workspace_id, self._channel)
        elif sender.account_id is None:
            account = await self._catalog.default_account(workspace_id, self._channel)
        else:
            account = await self._catalog.provider_account(sender.account_id)
        if account is None or account.workspace_id != workspace_id:
            return None
        return await self._activate(account)

    async def find(self, account_id: UUID) -> ActiveAccount | None:
        """Return one account of this channel; None where it is gone or its provider is not one of ours."""
        account = await self._catalog.provider_account(account_id)
        return None if account is None else await self._activate(account)

    async def close(self) -> None:
        """Close every provider."""
        providers = [active.provider for active in self._active.values()] + [one for _, one in self._retired]
        self._active.clear()
        self._retired.clear()
        await asyncio.gather(*(provider.close() for provider in providers), return_exceptions=True)

    async def _activate(self, account: ProviderAccount) -> ActiveAccount | None:
        active = self._active.get(account.id)
        if active is not None and (active.account is account or active.account == account):
            self._active.move_to_end(account.id)
            return active
        factory = self._factories.get(account.provider)
        if factory is None or account.channel is not self._channel:
            return None
        try:
            made = ActiveAccount(account, factory(account))
        except (KeyError, TypeError, ValueError) as error:
            _log.error("account.unusable", account=str(account.id), provider=account.provider, error=repr(error))
            return None
        if active is not None:
            self._retired.append((time.monotonic(), active.provider))
        active = made
        self._active[account.id] = active
        if len(self._active) > _CAPACITY:
            _, oldest = self._active.popitem(last=False)
            self._retired.append((time.monotonic(), oldest.provider))
        await self._close_retired()
        return active

    async def _close_retired(self) -> None:
        before = time.monotonic() - _GRACE_SECONDS
        due = [provider for at, provider in self._retired if at < before]
        self._retired = [(at, provider) for at, provider in self._retired if at >= before]
        for provider in due:
            await provider.close()
