"""What providers and recipients say later, matched to jobs: reports, proofs for the ledger, suppressions, opt-outs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from sluice_catalog.models import Suppression
from sluice_catalog.repository import Catalog
from sluice_channel import arrivals
from sluice_channel.accounts import Accounts
from sluice_channel.arrivals import Arrival
from sluice_channel.ledger import CommandKey, Ledger, LedgerReader, Person
from sluice_channel.matching import Matched, Matcher
from sluice_channel.parking import Parking
from sluice_contracts import topics
from sluice_contracts.messages.delivery import JobsReported, ReportedJobs
from sluice_contracts.messages.receipt import CallbackReceived, decode_receipt
from sluice_contracts.vocabulary import Channel, JobState, SuppressionReason
from sluice_messaging.errors import PoisonError
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import OutboundRecord, Record, outbound
from sluice_runtime.clock import Clock

REPORTS_IN_A_RECORD: Final = 500


class Receipts:
    """The handler of `receipts.<channel>`. Every effect may be repeated; none depends on the order of receipts."""

    def __init__(
        self,
        channel: Channel,
        accounts: Accounts,
        matcher: Matcher,
        ledger: Ledger,
        reader: LedgerReader,
        catalog: Catalog,
        parking: Parking,
        publisher: EventPublisher,
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._accounts = accounts
        self._matcher = matcher
        self._ledger = ledger
        self._reader = reader
        self._catalog = catalog
        self._parking = parking
        self._publisher = publisher
        self._clock = clock

    async def handle(self, records: Sequence[Record]) -> None:
        """Take in a batch of callbacks and followed links.

        Raises PoisonError when one of them cannot be read.
        """
        arrived: list[Arrival] = []
        for record in records:
            try:
                message = decode_receipt(record.value)
            except ValidationError as error:
                raise PoisonError("not a receipt") from error
            if isinstance(message, CallbackReceived):
                arrived += await arrivals.of_callback(message, self._accounts, self._channel)
            elif message.channel is self._channel:
                arrived += arrivals.of_tracking(message)
        unknown = await self.apply(arrived)
        if unknown:
            await self._parking.park(unknown, self._clock.now())

    async def apply(self, arrived: Sequence[Arrival]) -> list[Arrival]:
        """Carry out what the receipts say; return those whose job is not known."""
        if not arrived:
            return []
        matches = await self._matcher.match(arrived)
        await self._prove(matches.matched)
        await self._note_wishes(matches.matched, matches.nameless)
        records = self._reports(matches.matched)
        if records:
            await self._publisher.publish(records)
        return matches.unknown

    async def _prove(self, matched: Sequence[Matched]) -> None:
        """Tell the ledger of jobs whose hand-over it is not sure of, so that nobody hands them over again."""
        waves: defaultdict[tuple[CommandKey, int], set[int]] = defaultdict(set)
        for _, seq, place in matched:
            if place.is_open or seq in place.doubtful:
                waves[place.key, place.wave].add(seq)
        for (key, wave), seqs in waves.items():
            await self._ledger.prove(key, wave, seqs)

    async def _note_wishes(self, matched: Sequence[Matched], nameless: Sequence[Arrival]) -> None:
        """Suppress, opt out and take back, by the job's own address, or the receipt's where it speaks of no job.

        Of what one person wished in turn the last holds.
        """
        wishful = [match for match in matched if match.arrival.receipt.suppress or match.arrival.receipt.resubscribe]
        people = await self._reader.people([match.reference for match in wishful]) if wishful else []
        suppressions: dict[tuple[UUID, str, SuppressionReason], Suppression] = {}
        for match, person in zip(wishful, people, strict=True):
            await self._note_wish(match.arrival, match.place.workspace_id, person, suppressions)
        for arrival in nameless:
            if arrival.workspace_id is not None:
                await self._note_wish(arrival, arrival.workspace_id, None, suppressions)
        await self._catalog.suppress(list(suppressions.values()))

    async def _note_wish(
        self,
        arrival: Arrival,
        workspace_id: UUID,
        person: Person | None,
        suppressions: dict[tuple[UUID, str, SuppressionReason], Suppression],
    ) -> None:
        receipt = arrival.receipt
        address = (person.address if person is not None else None) or receipt.address
        if address is None:
            return
        if receipt.resubscribe:
            suppressions.pop((workspace_id, address, SuppressionReason.STOP), None)
            await self._catalog.lift_stop(workspace_id, self._channel, address)
        if receipt.suppress is SuppressionReason.UNSUBSCRIBED:
            external_id = None if person is None else person.external_id
            category = "*" if person is None else person.category
            await self._catalog.record_opt_out(workspace_id, external_id, address, self._channel, category)
        elif receipt.suppress is not None:
            suppression = Suppression(workspace_id, self._channel, address, receipt.suppress, receipt.detail)
            suppressions[workspace_id, address, receipt.suppress] = suppression

    def _reports(self, matched: Sequence[Matched]) -> list[OutboundRecord]:
        pages: defaultdict[tuple[UUID, int], list[Matched]] = defaultdict(list)
        for match in matched:
            pages[match.place.key[:2]].append(match)
        now = self._clock.now()
        return [
            self._report(page, group[first : first + REPORTS_IN_A_RECORD], now)
            for (_, page), group in pages.items()
            for first in range(0, len(group), REPORTS_IN_A_RECORD)
        ]

    def _report(self, page: int, matched: Sequence[Matched], now: datetime) -> OutboundRecord:
        """Whatever a receipt says, it proves the hand-over: every report says `sent` beside it."""
        place = matched[0].place
        receipts = [match.arrival.receipt for match in matched]
        nothing: list[Any] = [None] * len(matched)
        columns = ReportedJobs.model_construct(
            seq=[match.seq for match in matched],
            at=[match.arrival.at_ms for match in matched],
            state=[JobState.SENT] * len(matched),
            message=[receipt.message for receipt in receipts],
            engagement=[receipt.engagement for receipt in receipts],
            epoch=[match.place.epoch for match in matched],
            attempt=[1] * len(matched),
            code=[receipt.code for receipt in receipts],
            detail=[receipt.detail for receipt in receipts],
            until=nothing,
            external_id=nothing,
            address=nothing,
            provider=nothing,
            provider_id=[receipt.provider_id for receipt in receipts],
            segments=[receipt.segments for receipt in receipts],
            cost_micros=[receipt.cost_micros for receipt in receipts],
        )
        message = JobsReported.model_construct(
            workspace_id=place.workspace_id,
            trigger_id=place.trigger_id,
            execution_id=place.key.execution_id,
            channel=self._channel,
            page=page,
            answers_round=None,
            reported_at=now,
            jobs=columns,
        )
        return outbound(topics.DELIVERIES, message)
