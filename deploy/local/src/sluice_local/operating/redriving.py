"""`sluice dlq redrive`: dead letters back to the topics that they came from.

A letter is marked only after the broker has stored it in its topic. A redrive that is cut off between the two leaves a
letter that can be redriven once more; whatever reads the topic takes a repeat for what it is.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sluice_contracts.base import format_instant
from sluice_contracts.topics import Topic
from sluice_local.operating import marks
from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import CLIENT, Connection, Installation
from sluice_local.operating.letters import Letter, Marks, Origin, letter_at, letters_in
from sluice_local.operating.messages import NotAMessageError, message_of, source_of
from sluice_messaging.errors import BrokerUnavailableError, RecordTooLargeError
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.kafka.inspection import KafkaInspector
from sluice_messaging.ports import EventPublisher
from sluice_messaging.records import OutboundRecord, Partition
from sluice_runtime.redaction import mask_addresses_in

_TOGETHER: Final = 50
_TOGETHER_BYTES: Final = 4 * 1024 * 1024
_STORED_SECONDS: Final = 15.0


@dataclass(slots=True)
class Outcome:
    """How many letters were redriven, and how many were left where they are."""

    redriven: int = 0
    left: int = 0


async def redrive(installation: Installation, arguments: Namespace) -> int:
    """Send the chosen letters back; return 1 if some of them had to be left where they are."""
    source = source_of(arguments.topic)
    if not (arguments.places or arguments.all or arguments.reason):
        raise OperatingError("say which: PARTITION:OFFSET …, --reason or --all")
    async with (
        installation.database(marks.SCHEMA) as connection,
        installation.broker() as broker,
        KafkaMessaging(installation.kafka, CLIENT, installation.clock) as messaging,
    ):
        await marks.take_turn(connection)
        noted = await marks.all_marks(connection)
        redriver = Redriver(source, arguments.topic, broker, messaging.publisher, connection, installation)
        chosen = _named(broker, arguments, noted) if arguments.places else _matching(broker, arguments, noted)
        outcome = await redriver.run(chosen)
        await marks.forget(connection, installation.clock.now())
    print(f"{outcome.redriven} redriven to {source.name}" + (f", {outcome.left} left" if outcome.left else ""))
    return 1 if outcome.left else 0


class Redriver:
    """Sends letters of one topic, some at a time: stored first, marked then."""

    def __init__(
        self,
        source: Topic,
        topic: str,
        broker: KafkaInspector,
        publisher: EventPublisher,
        connection: Connection,
        installation: Installation,
    ) -> None:
        self._source = source
        self._topic = topic
        self._broker = broker
        self._publisher = publisher
        self._connection = connection
        self._installation = installation

    async def run(self, chosen: AsyncIterator[Letter]) -> Outcome:
        """Send everything of `chosen` that can be sent. Raises OperatingError when the broker stops taking it."""
        outcome = Outcome()
        together: list[Letter] = []
        lost: list[Letter] = []
        seen: set[Origin] = set()
        async for letter in chosen:
            if letter.origin in seen:
                print(f"{self._topic} {letter.place}: another letter about a record that is sent already")
                continue
            seen.add(letter.origin)
            (lost if letter.lost_bytes else together).append(letter)
            if len(together) >= _TOGETHER or sum(len(each.value) for each in together) >= _TOGETHER_BYTES:
                await self._send(together, outcome)
                together = []
        await self._send(together, outcome)
        for letter in lost:
            found = await self._original(letter)
            if found is None:
                self._leave(letter, outcome)
            else:
                await self._send([found], outcome)
        return outcome

    async def _send(self, letters: Sequence[Letter], outcome: Outcome) -> None:
        if not letters:
            return
        try:
            await self._publisher.publish([self._outbound(letter) for letter in letters], timeout=_STORED_SECONDS)
        except (BrokerUnavailableError, RecordTooLargeError) as error:
            places = ", ".join(str(letter.place) for letter in letters[:5]) + (" …" if len(letters) > 5 else "")
            raise OperatingError(
                f"the broker did not take {places}: {error}. {outcome.redriven} before them are redriven. These are "
                "not marked, some may be stored, and they can be redriven again: a repeat changes nothing"
            ) from error
        await marks.note_redriven(self._connection, letters, self._installation.clock.now())
        for letter in letters:
            how = " (as edited)" if letter.is_edited else ""
            print(f"{self._topic} {letter.place} → {self._source.name}{how}")
        outcome.redriven += len(letters)

    def _outbound(self, letter: Letter) -> OutboundRecord:
        try:
            message = message_of(self._source.name, letter.value, letter.record.message_type)
        except NotAMessageError as error:
            reason = mask_addresses_in("; ".join(error.problems))
            print(
                f"sluice: {letter.place} may come back, it is still wrong ({reason}); `sluice dlq edit` mends it",
                file=sys.stderr,
            )
            return letter.redriven(self._source.name, None)
        return letter.redriven(self._source.name, message.TYPE if letter.is_edited else None)

    async def _original(self, letter: Letter) -> Letter | None:
        """Return a letter that was too large to be kept with the value that may still lie in its own topic."""
        if letter.origin.topic != self._source.name:
            return None
        place = letter.origin.place
        original = await self._broker.record(Partition(self._source.name, place.partition), place.offset)
        if original is None or original.key != letter.record.key or len(original.value) != letter.lost_bytes:
            return None
        return replace(letter, record=replace(letter.record, value=original.value))

    def _leave(self, letter: Letter, outcome: Outcome) -> None:
        outcome.left += 1
        print(
            f"sluice: {letter.place} is left: its value of {letter.lost_bytes} bytes was too large to be kept and is "
            f"no longer in {self._source.name}; `sluice dlq edit` gives it another",
            file=sys.stderr,
        )


async def _named(broker: KafkaInspector, arguments: Namespace, noted: Marks) -> AsyncIterator[Letter]:
    """Yield the letters that were named, all of them looked at before the first is sent."""
    letters = [await letter_at(broker, arguments.topic, place, noted) for place in dict.fromkeys(arguments.places)]
    for letter in letters:
        if letter.mark.redriven_at is not None and not arguments.again:
            raise OperatingError(
                f"{arguments.topic} {letter.place} was redriven at {format_instant(letter.mark.redriven_at)}; "
                "--again sends it once more"
            )
    for letter in letters:
        yield letter


async def _matching(broker: KafkaInspector, arguments: Namespace, noted: Marks) -> AsyncIterator[Letter]:
    """Yield the letters with the reason that was asked for, or all; those redriven before only where asked for."""
    wanted = (arguments.reason or "").casefold()
    async for letter in letters_in(broker, arguments.topic, noted):
        if wanted in letter.reason.casefold() and (arguments.again or not letter.is_redriven):
            yield letter
