"""One receipt as it arrived, before it is matched to a job, and as it is put aside when it cannot be."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from sluice_channel.accounts import Accounts
from sluice_channel.provider import CallbackRequest, Receipt
from sluice_contracts.messages.receipt import CallbackReceived, TrackingReceived
from sluice_contracts.vocabulary import Channel, Engagement, MessageState, SuppressionReason
from sluice_messaging.errors import PoisonError


class Arrival(NamedTuple):
    """A receipt, and who brought it: the account and its workspace for a callback, nobody for our own signed links."""

    receipt: Receipt
    received_at: datetime
    account_id: UUID | None = None
    workspace_id: UUID | None = None

    @property
    def at_ms(self) -> int:
        """When it happened, in Unix milliseconds, as far as known."""
        known = self.receipt.at_ms
        return int(self.received_at.timestamp() * 1000) if known is None else known

    def pack(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps({**self._asdict(), "receipt": self.receipt._asdict()})


def unpack(packed: bytes) -> Arrival:
    """Read back what `Arrival.pack` wrote."""
    fields = orjson.loads(packed)
    receipt = Receipt(**fields["receipt"])
    return Arrival(
        receipt._replace(
            message=None if receipt.message is None else MessageState(receipt.message),
            engagement=None if receipt.engagement is None else Engagement(receipt.engagement),
            suppress=None if receipt.suppress is None else SuppressionReason(receipt.suppress),
        ),
        datetime.fromisoformat(fields["received_at"]),
        *(None if fields[name] is None else UUID(fields[name]) for name in ("account_id", "workspace_id")),
    )


async def of_callback(callback: CallbackReceived, accounts: Accounts, channel: Channel) -> list[Arrival]:
    """Return what a callback says.

    Raises PoisonError when its account is gone or its provider cannot read it.
    """
    active = await accounts.find(callback.account_id)
    if active is None or callback.channel is not channel or active.account.workspace_id != callback.workspace_id:
        raise PoisonError("the callback's provider account is gone")
    try:
        request = CallbackRequest(callback.query, callback.headers, callback.content_type, b64decode(callback.body))
        receipts = active.provider.parse_receipt(request)
    except ValueError as error:
        raise PoisonError(f"{active.account.provider} cannot read the callback: {error}") from error
    return [Arrival(receipt, callback.received_at, callback.account_id, callback.workspace_id) for receipt in receipts]


def of_tracking(tracking: TrackingReceived) -> list[Arrival]:
    """Return what somebody did with one of our links; nothing where it was a machine that looks at every link."""
    if tracking.by_machine:
        return []
    unsubscribes = tracking.engagement is Engagement.UNSUBSCRIBED
    receipt = Receipt(
        tracking.reference,
        engagement=tracking.engagement,
        suppress=SuppressionReason.UNSUBSCRIBED if unsubscribes else None,
    )
    return [Arrival(receipt, tracking.received_at)]
