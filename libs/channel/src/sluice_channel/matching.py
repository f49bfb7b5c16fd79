"""Which job each receipt speaks of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

import structlog

from sluice_channel.arrivals import Arrival
from sluice_channel.conversations import Conversations
from sluice_channel.ledger import CommandKey, LedgerReader, WavePlace
from sluice_contracts.identifiers import page_of
from sluice_contracts.references import ForgedReferenceError, JobReference, read_reference

_log = structlog.get_logger()


class Matched(NamedTuple):
    """A receipt with its job."""

    arrival: Arrival
    seq: int
    place: WavePlace

    @property
    def reference(self) -> JobReference:
        """The job, as it was commanded."""
        key = self.place.key
        return JobReference(key.execution_id, self.seq, key.round)


@dataclass(frozen=True, slots=True)
class Matches:
    """What was found: `nameless` receipts speak of no message of ours, `unknown` of one that is not in the ledger."""

    matched: list[Matched]
    unknown: list[Arrival]
    nameless: list[Arrival]


class Matcher:
    """Reads references and finds jobs in the ledger."""

    def __init__(self, ledger: LedgerReader, conversations: Conversations, reference_key: bytes) -> None:
        self._ledger = ledger
        self._conversations = conversations
        self._reference_key = reference_key

    async def match(self, arrivals: Sequence[Arrival]) -> Matches:
        """Find the job of each receipt.

        A receipt from one workspace's provider account never speaks of another workspace's job: it is dropped.
        """
        named: list[tuple[Arrival, JobReference]] = []
        unnamed: list[Arrival] = []
        for arrival in arrivals:
            reference = self._read(arrival)
            if reference is None:
                unnamed.append(arrival)
            else:
                named.append((arrival, reference))
        found, nameless = await self._by_address(unnamed)
        commands = _by_command(named + found)
        places = await self._ledger.places({key for key, _ in commands}) if commands else {}
        matched: list[Matched] = []
        unknown: list[Arrival] = []
        for key, group in commands:
            waves = places.get(key, ())
            for arrival, reference in group:
                place = _wave_of(reference.seq, waves)
                if place is None:
                    unknown.append(arrival)
                elif arrival.workspace_id in (None, place.workspace_id):
                    matched.append(Matched(arrival, reference.seq, place))
                else:
                    _log.warning("receipt.of_another_workspace", account=str(arrival.account_id))
        return Matches(matched, unknown, nameless)

    def _read(self, arrival: Arrival) -> JobReference | None:
        if arrival.receipt.reference is None:
            return None
        try:
            return read_reference(arrival.receipt.reference, self._reference_key)
        except ForgedReferenceError:
            # The provider account may serve another system too, whose messages carry references of their own.
            _log.info("receipt.not_ours", account=str(arrival.account_id))
            return None

    async def _by_address(
        self, arrivals: Sequence[Arrival]
    ) -> tuple[list[tuple[Arrival, JobReference]], list[Arrival]]:
        by_account: defaultdict[UUID, list[Arrival]] = defaultdict(list)
        nameless: list[Arrival] = []
        for arrival in arrivals:
            receipt = arrival.receipt
            if arrival.account_id is not None and receipt.reference is None and receipt.address is not None:
                by_account[arrival.account_id].append(arrival)
            else:
                nameless.append(arrival)
        found: list[tuple[Arrival, JobReference]] = []
        for account_id, group in by_account.items():
            addresses = {arrival.receipt.address for arrival in group if arrival.receipt.address}
            newest = await self._conversations.newest(account_id, addresses)
            for arrival in group:
                reference = newest.get(arrival.receipt.address or "")
                if reference is None:
                    nameless.append(arrival)
                else:
                    found.append((arrival, reference))
        return found, nameless


def _by_command(
    named: Sequence[tuple[Arrival, JobReference]],
) -> list[tuple[CommandKey, list[tuple[Arrival, JobReference]]]]:
    """Return receipts in order, those together that follow each other and speak of one command: nearly all do."""

    def command(item: tuple[Arrival, JobReference]) -> tuple[UUID, int, int]:
        _, (execution_id, seq, round_number) = item
        return execution_id, page_of(seq), round_number

    return [(CommandKey(*key), list(group)) for key, group in groupby(named, command)]


def _wave_of(seq: int, waves: Sequence[WavePlace]) -> WavePlace | None:
    for wave in waves:
        if wave.first_seq <= seq <= wave.last_seq:
            return wave
    return None
