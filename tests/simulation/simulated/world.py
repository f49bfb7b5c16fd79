"""Everything that a run consists of beside the services: fate, time, servers, processes, and the log of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any, Final, TypeVar
from uuid import UUID

from simulated.loop import PROCESS, Process, SimulationLoop
from simulated.storage import LockedError

T = TypeVar("T")

OUTSIDE: Final = Context()
"""The context of whatever belongs to no process."""

OFTEN: Final = frozenset(
    {
        "lease_stages",
        "next_command_due",
        "due_commands",
        "count_parked",
        "due_receipts",
        "elect_sweeper",
        "due_pages",
        "due_wait_stages",
        "elect",
        "standing_still",
        "never_started",
        "started_unheard",
        "never_planned",
        "nameless",
        "lanes",
        "overdue_triggers",
        "due_releases",
    }
)
"""Statements that loops ask again and again; a crash there is seldom interesting."""

DANGERS: Final = {
    "orchestrator": {"sql": 8, "publish": 6, "offsets": 3, "poll": 1},
    "status": {"sql": 8, "publish": 1, "offsets": 4},
    "channel": {"sql": 8, "publish": 5, "provider": 8, "offsets": 3, "poll": 1},
}
"""What the copies of a service die at, and how often."""


@dataclass
class Weather:
    """How bad it gets: chances of single misfortunes, and how many blows of each kind fall until `calm_at` seconds."""

    calm_at: float = 12.0
    lost_statements: float = 0.0
    lost_publishes: float = 0.0
    slow_replies: float = 0.02
    crashes: int = 0
    freezes: int = 0
    drops: int = 0
    rewinds: int = 0
    repeats: int = 0
    losses: int = 0

    @classmethod
    def drawn(cls, fate: random.Random) -> Weather:
        """Return the weather of one run."""
        return cls(
            calm_at=fate.choice([6.0, 12.0, 20.0]),
            lost_statements=fate.choice([0.0, 0.0, 0.01, 0.03]),
            lost_publishes=fate.choice([0.0, 0.0, 0.02, 0.08]),
            slow_replies=fate.choice([0.0, 0.02, 0.1]),
            crashes=fate.choice([0, 1, 2, 4, 6]),
            freezes=fate.choice([0, 0, 1, 2]),
            drops=fate.choice([0, 1, 2]),
            rewinds=fate.choice([0, 0, 1, 2]),
            repeats=fate.choice([0, 1, 3]),
            losses=fate.choice([0] * 7 + [1, 2]),
        )


@dataclass
class Fuse:
    """Lets a process die at its `left`-th effect of a kind, before the effect or after it."""

    kind: str
    left: int
    after: bool


@dataclass(eq=False)
class Machine(Process):
    """A process with what fate has in store for it."""

    name: str
    context: Context = field(default_factory=Context)
    fuse: Fuse | None = None
    dies: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.name)
        self.context.run(PROCESS.set, self)


class World:
    """One run. Whatever is drawn is drawn here, whatever happens is noted here."""

    def __init__(self, seed: int, loop: SimulationLoop, weather: Weather | None = None) -> None:
        self.seed = seed
        self.fate = random.Random(seed)
        self.loop = loop
        self.later = loop.later
        self.weather = weather or Weather.drawn(self.fate)
        self.machines: list[Machine] = []
        self.deaths: list[Machine] = []
        self.story: list[str] = []
        self.crashes_left = self.weather.crashes
        self.on_death: Callable[[Machine], None] = self.deaths.append
        self.on_loss: Callable[[Machine, str], None] = lambda machine, label: None

    @property
    def is_calm(self) -> bool:
        """Whether the time of misfortunes is over."""
        return self.loop.moment >= self.weather.calm_at

    @property
    def digest(self) -> str:
        """The hash of everything that has happened, in its order."""
        return f"{blake2b(''.join(self.story).encode(), digest_size=8).hexdigest()}:{len(self.story)}"

    def note(self, *what: object) -> None:
        """Write something down."""
        self.story.append(f"{self.loop.moment:.6f} {' '.join(map(str, what))}")

    def new_id(self, _: object = None) -> UUID:
        """Return an identifier that is as random as the seed."""
        return UUID(int=self.fate.getrandbits(128), version=4)

    def chance(self, probability: float) -> bool:
        """Whether something that is this likely happens now; in calm times nothing does."""
        return probability > 0 and not self.is_calm and self.fate.random() < probability

    def machine(self, name: str) -> Machine:
        """Return a new process, which may be bound to die."""
        machine = Machine(name)
        self.machines.append(machine)
        if self.crashes_left > 0 and not self.is_calm:
            kinds = DANGERS.get(name.partition("-")[0], DANGERS["channel"])
            kind = self.fate.choices(list(kinds), list(kinds.values()))[0]
            machine.fuse = Fuse(kind, self.fate.choice([1, 1, 2, 2, 3, 4, 6, 9]), after=self.fate.random() < 0.6)
        return machine

    def start(self, machine: Machine | None, coroutine: Any) -> asyncio.Task[Any]:
        """Run `coroutine` in a process, or (None) outside of all."""
        return self.loop.create_task(coroutine, context=OUTSIDE if machine is None else machine.context)

    def kill(self, machine: Machine) -> None:
        """End a process at once."""
        if machine.is_dead:
            return
        machine.is_dead = True
        machine.fuse = None
        self.note("died", machine.name)
        for consequence in machine.dies:
            consequence()
        self.on_death(machine)

    def freeze(self, machine: Machine, seconds: float) -> None:
        """Stop a process for a while."""
        self.note("froze", machine.name, f"{seconds:.3f}")
        machine.frozen_until = self.loop.moment + seconds
        self.later(seconds + 1e-6, lambda: self.loop.thaw(machine))

    async def remote(self, machine: Machine, kind: str, label: str, action: Callable[[], T]) -> T:
        """Return what `action` gives, carried out elsewhere some time later; the answer comes later still.

        What is raised there is raised here. A process may die before its request leaves it, or when it has been carried
        out and the answer is on its way; a request that is on its way when its process dies may or may not arrive.
        """
        if self._burns_down(machine, kind, after=False):
            self.kill(machine)
            await self.loop.create_future()
        answer: asyncio.Future[T] = self.loop.create_future()
        # A function of its own for each request would leave a circle of garbage behind.
        dies_with_it = self.fate.random() < 0.5
        self.later(self._travel(), self._arrive, machine, kind, label, action, answer, dies_with_it)
        return await answer

    def _arrive(
        self,
        machine: Machine,
        kind: str,
        label: str,
        action: Callable[[], Any],
        answer: asyncio.Future[Any],
        dies_with_it: bool,
    ) -> None:
        if answer.cancelled() or (machine.is_dead and dies_with_it):
            return
        result: Any
        try:
            result = action()
        except LockedError as locked:
            again = partial(self.later, 0, self._arrive, machine, kind, label, action, answer, dies_with_it)
            locked.holder.waiters.append(again)
            return
        except Exception as error:  # noqa: BLE001 - whatever is raised there is raised where the answer is awaited
            result = error
        self.note(machine.name, label, "failed" if isinstance(result, Exception) else "")
        if self._burns_down(machine, kind, after=True):
            self.kill(machine)
        self.later(self._travel(), _reply, answer, result)

    def end(self) -> None:
        """Take everything down, and let go of it: nearly all of it is free then at once, and none of it for later."""
        for machine in self.machines:
            machine.is_dead = True
            machine.dies.clear()
        self.loop.end()
        vars(self.loop).clear()
        vars(self).clear()

    def _burns_down(self, machine: Machine, kind: str, *, after: bool) -> bool:
        fuse = machine.fuse
        if fuse is None or fuse.kind != kind or fuse.after is not after or machine.is_dead or self.is_calm:
            return False
        fuse.left -= 1
        if fuse.left > 0 or self.crashes_left <= 0:
            return False
        self.crashes_left -= 1
        return True

    def _travel(self) -> float:
        if self.fate.random() < self.weather.slow_replies and not self.is_calm:
            return self.fate.random() * 0.8
        return self.fate.random() * 0.004


def _reply(answer: asyncio.Future[T], result: T | BaseException) -> None:
    if answer.done():
        return
    if isinstance(result, BaseException):
        answer.set_exception(result)
    else:
        answer.set_result(result)
