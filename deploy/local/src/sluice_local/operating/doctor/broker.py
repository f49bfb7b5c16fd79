"""The brokers: are all topics there and healthy, who is behind, and what lies among the dead letters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sluice_contracts.publish.traffic import traffic
from sluice_contracts.topics import CONTROL
from sluice_local.durations import describe
from sluice_local.operating.dead_letters import noted_marks, tally
from sluice_local.operating.doctor.findings import Examination
from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import Installation
from sluice_local.operating.letters import written_at
from sluice_local.operating.quantities import counted
from sluice_local.options import SERVICES
from sluice_messaging.kafka.inspection import KafkaInspector, PartitionHealth, Standing
from sluice_messaging.records import Partition

PATIENCE: Final = timedelta(seconds=30)
"""How long a record may wait for its group before somebody should know."""

_READ_BY_ALL: Final = frozenset({CONTROL})
"""Topics that are read without a group."""


async def examine_broker(installation: Installation) -> Examination:
    """Look at topics, replicas and lag."""
    found = Examination()
    try:
        async with installation.broker() as broker:
            partitions = await broker.partitions()
            _look_at_partitions(partitions, found)
            await _look_at_lag(installation, broker, partitions, found)
    except OperatingError as error:
        found.find("kafka", str(error), f"see that it runs, and read {installation.log('kafka-1')}")
    else:
        found.healthy.append("Kafka answers")
    return found


async def examine_dead_letters(installation: Installation) -> Examination:
    """Count the dead letters that nobody has redriven."""
    found = Examination()
    try:
        noted = await noted_marks(installation)
    except OperatingError as error:
        found.notes.append(f"dead letters that were redriven are counted too: {error}")
        noted = {}
    try:
        tallies = await tally(installation, noted)
    except OperatingError:
        found.notes.append("dead letters were not counted: the brokers do not answer")
        return found
    for topic, lying in tallies.items():
        if lying.waiting:
            worst = max(lying.reasons.values(), key=lambda reason: reason.letters)
            found.find(
                topic,
                f"{counted(lying.waiting, 'letter')} to be looked at, most of them for {worst.sentence[:160]}",
                f"read one with `sluice dlq show {topic} {worst.first}`, mend it and redrive it",
            )
    return found


def _look_at_partitions(partitions: Sequence[PartitionHealth], found: Examination) -> None:
    present = {each.partition.topic for each in partitions}
    wanted = [name for flow in traffic() for name in (flow.topic.name, flow.topic.dead_letters)]
    if missing := [name for name in wanted if name not in present]:
        found.find("kafka", f"topics are missing: {', '.join(missing)}", "run `sluice migrate`")
    for what, concerned in (
        ("has no leader: nothing can be written or read", [each for each in partitions if not each.has_leader]),
        ("has too few copies in step", [each for each in partitions if each.in_step < each.replicas]),
    ):
        names = sorted({each.partition.topic for each in concerned})
        if names:
            some = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            found.find(some, f"{len(concerned)} of their partitions: each {what}", "see that every broker runs")


async def _look_at_lag(
    installation: Installation, broker: KafkaInspector, partitions: Sequence[PartitionHealth], found: Examination
) -> None:
    readers = {flow.topic.name: flow.consumers for flow in traffic() if flow.topic.name not in _READ_BY_ALL}
    standings = await broker.standings(readers)
    late: defaultdict[tuple[str, str], list[tuple[Standing, timedelta]]] = defaultdict(list)
    for standing in standings:
        if standing.behind and (age := await _age(broker, standing.partition, standing.position)) > PATIENCE:
            late[standing.group, standing.partition.topic].append((standing, age))
    for (group, topic), behind in sorted(late.items()):
        records = sum(standing.behind for standing, _ in behind)
        oldest = max(age for _, age in behind)
        reader = _reader(group)
        found.find(
            f"group {group}",
            f"is {counted(records, 'record')} behind on {topic}, the oldest has waited {describe(oldest)}",
            f"see that {reader} runs and read {installation.log(reader)}; if it is only slow, add copies",
        )
    read = {standing.partition.topic for standing in standings}
    unread = [each.partition for each in partitions if each.partition.topic in readers.keys() - read]
    never: defaultdict[str, list[timedelta]] = defaultdict(list)
    for partition, extent in (await broker.extents(unread)).items():
        if extent.end > extent.first and (age := await _age(broker, partition, extent.first)) > PATIENCE:
            never[partition.topic].append(age)
    for topic, ages in sorted(never.items()):
        found.find(
            topic,
            f"no group has ever read it, and it has held records for {describe(max(ages))}",
            f"start {' and '.join(readers[topic])}, or read in the log why it does not consume",
        )


async def _age(broker: KafkaInspector, partition: Partition, offset: int) -> timedelta:
    """Return for how long the record at `offset` has waited, by the time that its producer gave it."""
    record = await broker.record(partition, offset)
    return timedelta(0) if record is None else datetime.now(UTC) - written_at(record)


def _reader(group: str) -> str:
    """Return the service whose group this is; the group's own name where it is none of ours."""
    for service in SERVICES:
        if group.startswith((service, service.removesuffix("-api") + "-")):
            return service
    return group
