"""`sluice dlq list` and `sluice dlq show`: what could never be handled, and why."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sluice_contracts.base import format_instant
from sluice_local.durations import describe
from sluice_local.operating import marks
from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import Installation
from sluice_local.operating.letters import Letter, Marks, Place, letter_at, letters_in
from sluice_local.operating.masking import masked, masked_text
from sluice_local.operating.messages import NotAMessageError, dead_letter_topics, message_of, source_of
from sluice_local.operating.pretty import pretty
from sluice_local.operating.quantities import counted


@dataclass(slots=True)
class Reason:
    """Letters of one topic that are there for one reason; `first` is where the first of them lies."""

    sentence: str
    first: Place
    letters: int = 0


@dataclass(slots=True)
class Tally:
    """What lies in one dead-letter topic."""

    waiting: int = 0
    redriven: int = 0
    edited: int = 0
    oldest: datetime | None = None
    reasons: dict[str, Reason] = field(default_factory=dict)

    def add(self, letter: Letter) -> None:
        """Count `letter`; one that was redriven does not wait for anybody."""
        if letter.is_redriven:
            self.redriven += 1
            return
        self.waiting += 1
        self.edited += letter.is_edited
        self.oldest = self.oldest or letter.written_at
        reason = self.reasons.setdefault(letter.kind_of_reason, Reason(letter.reason, letter.place))
        reason.letters += 1


async def tally(installation: Installation, noted: Marks) -> dict[str, Tally]:
    """Return what lies in each dead-letter topic that holds anything, leaving out what `noted` says was redriven."""
    tallies: dict[str, Tally] = {}
    async with installation.broker() as broker:
        present = {health.partition for health in await broker.partitions()}
        wanted = [partition for partition in present if partition.topic in dead_letter_topics()]
        extents = await broker.extents(wanted)
        for topic in dead_letter_topics():
            if any(extent.end > extent.first for partition, extent in extents.items() if partition.topic == topic):
                found = tallies[topic] = Tally()
                async for letter in letters_in(broker, topic, noted):
                    found.add(letter)
    return tallies


async def noted_marks(installation: Installation) -> Marks:
    """Return what operators did with dead letters. Raises OperatingError without a database."""
    async with installation.database(marks.SCHEMA) as connection:
        return await marks.all_marks(connection)


async def list_topics(installation: Installation) -> int:
    """Print each dead-letter topic: how many letters wait, since when, and why."""
    try:
        noted = await noted_marks(installation)
    except OperatingError as error:
        print(f"sluice: {error}; letters that were redriven are counted too", file=sys.stderr)
        noted = {}
    tallies = await tally(installation, noted)
    for topic, found in tallies.items():
        print(f"{topic:<30} {_summary(found)}")
        for reason in sorted(found.reasons.values(), key=lambda each: -each.letters):
            print(f"  {reason.letters:>6} from {reason.first}  {reason.sentence}")
    empty = len(dead_letter_topics()) - len(tallies)
    print(f"{counted(empty, 'dead-letter topic')} empty" if tallies else f"all {empty} dead-letter topics are empty")
    return 0


async def show(installation: Installation, arguments: Namespace) -> int:
    """Print one letter: headers, reason, and its value, readable and without addresses unless asked for them."""
    source = source_of(arguments.topic)
    try:
        noted = await noted_marks(installation)
    except OperatingError as error:
        print(f"sluice: {error}; whether it was edited or redriven is not known", file=sys.stderr)
        noted = {}
    async with installation.broker() as broker:
        letter = await letter_at(broker, arguments.topic, arguments.place, noted)
    headers = letter.record.headers
    lines = {
        "place": f"{arguments.topic} {letter.place}, written {format_instant(letter.written_at)}",
        "came from": f"{headers.get('x-original-topic', source.name)} {headers.get('x-original-partition', '?')}:"
        f"{headers.get('x-original-offset', '?')}",
        "reason": letter.reason,
        "given up by": f"{headers.get('x-consumer-group', '?')} at {headers.get('x-failed-at', '?')}, "
        f"attempt {headers.get('x-attempts', '?')}",
        "state": _state(letter),
        "reads as": _reading(source.name, letter),
        "key": _shown_text(letter.record.key or b"", arguments.unmasked) or "none",
    }
    for name, line in lines.items():
        print(f"{name:<12} {line}")
    print("headers")
    for name, value in headers.items():
        print(f"  {name}: {value if arguments.unmasked else masked_text(value)}")
    print("value as edited" if letter.is_edited else "value")
    print(shown_value(letter.value, unmasked=arguments.unmasked))
    return 0


def shown_value(value: bytes, *, unmasked: bool) -> str:
    """Return `value` as indented JSON, or as text where it is none."""
    try:
        content = json.loads(value)
    except ValueError:
        return _shown_text(value, unmasked)
    return pretty(content if unmasked else masked(content))


def _shown_text(value: bytes, unmasked: bool) -> str:
    text = value.decode(errors="backslashreplace")
    return text if unmasked else masked_text(text)


def _summary(found: Tally) -> str:
    parts = []
    if found.waiting and found.oldest is not None:
        age = max(datetime.now(UTC) - found.oldest, timedelta(0))
        parts.append(f"{found.waiting} waiting, the oldest for {describe(age)}")
    if found.edited:
        parts.append(f"{found.edited} of them edited")
    if found.redriven:
        parts.append(f"{found.redriven} redriven")
    return ", ".join(parts)


def _state(letter: Letter) -> str:
    mark, parts = letter.mark, []
    if mark.edited_at is not None:
        parts.append(f"edited {format_instant(mark.edited_at)}")
    if mark.redriven_at is not None:
        often = f", {mark.redrives} times" if mark.redrives > 1 else ""
        parts.append(f"redriven {format_instant(mark.redriven_at)}{often}")
    else:
        parts.append("not redriven")
    if letter.lost_bytes:
        parts.append(f"its value of {letter.lost_bytes} bytes was too large to be kept")
    return ", ".join(parts)


def _reading(topic: str, letter: Letter) -> str:
    try:
        return message_of(topic, letter.value, letter.record.message_type).TYPE
    except NotAMessageError as error:
        return masked_text(str(error))
