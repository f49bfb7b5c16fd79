"""What befalls a run from outside: processes that freeze, members that are dropped, records and commits that repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from simulated.broker import SESSION_SECONDS
from simulated.copies import Stage
from simulated.world import Machine
from sluice_contracts import topics
from sluice_messaging.records import OutboundRecord, Record

_HURRY_SECONDS: Final = 0.5
_SOON_SECONDS: Final = 0.5


class Misfortunes:
    """As many blows of each kind as the weather has in store, each at a moment of its own before it is calm."""

    def __init__(self, stage: Stage, machines: Sequence[Machine]) -> None:
        self._stage = stage
        self._machines = machines
        self._world = stage.world
        self._to_come: dict[int, Callable[[], None]] = {}

    def announce(self) -> None:
        """Let them all come."""
        weather, fate = self._world.weather, self._world.fate
        for number, blow in (
            (weather.freezes, self._freeze),
            (weather.drops, self._drop),
            (weather.rewinds, self._rewind),
            (weather.repeats, self._repeat),
            (weather.losses, self._lose),
        ):
            for _ in range(number):
                self._plan(0.5 + fate.random() * (weather.calm_at - 0.5), blow)

    def hurry(self) -> None:
        """Let what is still to come fall at once, and then be calm: there is nothing left to wait for."""
        blows = list(self._to_come.values())
        self._to_come.clear()
        for blow in blows:
            self._plan(self._world.fate.random() * _HURRY_SECONDS, blow)
        self._world.weather.calm_at = self._world.loop.moment + (_HURRY_SECONDS if blows else 0.0)

    def lose_soon(self) -> None:
        """Let status miss some of what is said next, too."""
        self._plan(self._world.fate.random() * _SOON_SECONDS, self._lose)

    def _plan(self, seconds: float, blow: Callable[[], None]) -> None:
        number = self._world.fate.getrandbits(32)
        self._to_come[number] = blow
        self._world.later(seconds, lambda: self._strike(number))

    def _strike(self, number: int) -> None:
        blow = self._to_come.pop(number, None)
        if blow is not None:
            blow()

    def _freeze(self) -> None:
        fate = self._world.fate
        machine = fate.choice(self._machines) if self._machines else None
        if machine is None or machine.frozen_until > self._world.loop.moment:
            return
        seconds = fate.choice([0.3, 2.5, 4.0, 9.0])
        self._stage.exchange.forgive(machine)
        self._world.freeze(machine, seconds)
        if seconds > SESSION_SECONDS:
            for source in self._stage.sources:
                if source.machine is machine:
                    self._world.later(SESSION_SECONDS, source.evict)

    def _drop(self) -> None:
        members = [source for source in self._stage.sources if source.is_member]
        if members:
            self._world.fate.choice(members).evict()

    def _rewind(self) -> None:
        """The broker has lost the last commits of a group."""
        fate = self._world.fate
        members = [source for source in self._stage.sources if source.is_member]
        if members:
            source = fate.choice(members)
            committed = self._stage.broker.group(source.group).committed
            for partition, offset in committed.items():
                committed[partition] = max(0, offset - fate.randint(0, 3))
            self._world.note("rewound", source.group)
            source.evict()

    def _lose(self) -> None:
        """A topic loses its log while status is down, and so what status has not read of it."""
        fate = self._world.fate
        topic, group = fate.choice([(topics.EXECUTIONS, "status-executions"), (topics.DELIVERIES, "status-deliveries")])
        for machine in [machine for machine in self._machines if machine.name.startswith("status")]:
            self._world.kill(machine)
        self._world.later(fate.random() * 2, lambda: self._skip(topic, group))

    def _skip(self, topic: str, group: str) -> None:
        committed = self._stage.broker.group(group).committed
        for partition in self._stage.broker.partitions([topic]):
            committed[partition] = self._stage.broker.end(partition)
        self._world.note("lost", topic)
        for source in self._stage.sources:
            if source.group == group and source.is_member:
                source.evict()

    def _repeat(self) -> None:
        """A producer that had no answer has stored a record once more."""
        fate = self._world.fate
        known: list[Record] = []
        for topic in topics.catalogue():
            if topic.name != topics.CONTROL:
                known += self._stage.broker.records(topic.name)
        if known:
            record = fate.choice(known)
            self._stage.bring(OutboundRecord(record.topic, record.key, record.value, record.headers))
