"""Doing to a running stack what the schedule says, and writing down when and to how many processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import psutil
from aiokafka.errors import KafkaError

from chaos import topics
from chaos.carrier import Carrier
from chaos.disk import SmallDisk
from chaos.history import Disturbance, Loss
from chaos.journal import Mood
from chaos.relay import Relay
from chaos.schedule import SHOWN, Fault, Strike
from chaos.tally import Tally
from sluice_local.processes import is_listening
from sluice_local.stack import Stack

T = TypeVar("T")

_PREFIX: Final = "channel-"
_CHANNELS: Final = ("sms", "email", "whatsapp")
_MOODS: Final[Mapping[Fault, Mood]] = {
    Fault.REFUSING: Mood.REFUSING,
    Fault.SILENT: Mood.SILENT,
    Fault.THROTTLING: Mood.THROTTLING,
}
_BACK_SECONDS: Final = 120.0
_BEHIND_SECONDS: Final = 2.0
_CHANCE_SECONDS: Final = 300.0
_AGAIN_SECONDS: Final = 2.0
_START_SECONDS: Final = 300.0
"""How long a whole stack may take to start on a machine that has other things to do."""


@dataclass(slots=True)
class Targets:
    """What faults are done to. `disk` is None where Postgres has an ordinary one, because of `no_disk`."""

    stack: Stack
    brokers: int
    carrier: Carrier
    relay: Relay
    disk: SmallDisk | None
    no_disk: str | None


class Injector:
    """Strikes. Whatever starts or ends whole stacks runs on one thread that lives as long as the injector."""

    def __init__(self, targets: Targets, say: Callable[[str], None]) -> None:
        self._targets = targets
        self._stack = targets.stack
        self._say = say
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stack")
        self._killing = asyncio.Lock()
        self.tallies: dict[str, Tally] = {}
        self.disturbances: list[Disturbance] = []
        self.losses: list[Loss] = []

    @property
    def kills(self) -> int:
        """How many processes have been killed."""
        return sum(tally.kills for tally in self.tallies.values())

    @property
    def faults(self) -> int:
        """How many faults have been done."""
        return sum(tally.times for tally in self.tallies.values())

    async def start(self) -> None:
        """Start the stack, or start it again. Raises StartError where it does not come up: that ends a run."""
        await self.on_stack_thread(lambda: self._stack.start(_START_SECONDS))

    async def on_stack_thread(self, work: Callable[[], T]) -> T:
        """Run what blocks and may start a stack: its processes end with the thread that started them."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Let the thread end, once the stack is stopped."""
        self._thread.shutdown()

    async def strike(self, strike: Strike) -> None:
        """Do one fault, and try again for a while where another one is in its way; the tally says what came of it."""
        tally = self.tallies.setdefault(strike.name, Tally())
        began = time.monotonic()
        if strike.fault is Fault.FULL_DISK and self._targets.disk is None:
            tally.remarks.append(f"not run: {self._targets.no_disk}")
            return
        while True:
            try:
                tally.kills += await self._do(strike)
            except (OSError, TimeoutError, RuntimeError, KafkaError, psutil.Error) as error:
                self._say(f"{strike.name} could not be done yet: {type(error).__name__}: {error}")
                if time.monotonic() - began > _CHANCE_SECONDS:
                    tally.failures.append(f"{type(error).__name__}: {error}")
                    break
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                tally.times += 1
                break
        tally.seconds += time.monotonic() - began
        self._say(f"{strike.name} ({time.monotonic() - began:.1f} s)")

    async def _do(self, strike: Strike) -> int:
        match strike.fault:
            case Fault.KILL:
                return await self._kill(strike.target)
            case Fault.KILL_LEADER:
                return await self._kill_leader()
            case Fault.KILL_POSTGRES:
                async with self._killing:
                    return len(self._stack.kill("postgres"))
            case Fault.KILL_ALL:
                return await self._kill_all()
            case Fault.STOP:
                return await self._pause(strike.target, strike.seconds)
            case Fault.RESTART:
                await self._restart(strike.target)
            case Fault.REBALANCE:
                await topics.disturb_groups(self._stack.connections.kafka, strike.seconds)
            case Fault.FULL_DISK:
                return await self._fill_disk(strike.seconds)
            case Fault.LOST_LOG:
                await self._lose_log(strike.target, is_made_anew=bool(strike.seconds))
            case mood:
                await self._turn(_MOODS[mood], strike.seconds)
        return 0

    async def _kill(self, service: str) -> int:
        async with self._killing:
            await self._runs(service)
            pids = self._stack.kill(service)
            self._note_doubt(service, len(pids))
            return len(pids)

    async def _kill_leader(self) -> int:
        async with self._killing:
            await self._brokers_run()
            if self._targets.brokers == 1:
                return len(self._stack.kill("kafka"))
            node = await topics.leading_broker(self._stack.connections.kafka)
            for pid in self._stack.pids("kafka"):
                if any(word.endswith(f"broker-{node}.properties") for word in psutil.Process(pid).cmdline()):
                    os.kill(pid, signal.SIGKILL)
                    return 1
        raise RuntimeError(f"broker {node} leads and does not run")

    async def _kill_all(self) -> int:
        async with self._killing:
            everything = [pid for pids in self._stack.data.processes().values() for pid in pids]
            for channel in _CHANNELS:
                self._note_doubt(f"{_PREFIX}{channel}", len(self._stack.pids(f"{_PREFIX}{channel}")))
            everything.append(self._stack.supervisor)
            for pid in everything:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await self.start()
            return len(everything)

    async def _pause(self, service: str, seconds: float) -> int:
        await self._runs(service)
        pid = next(iter(self._stack.pids(service)), None)
        if pid is None:
            raise RuntimeError(f"{service} has ended meanwhile")
        os.kill(pid, signal.SIGSTOP)
        self._note_doubt(service, 1, seconds)
        try:
            await asyncio.sleep(seconds)
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return 0

    async def _restart(self, service: str) -> None:
        await self._runs(service)
        copies = self._stack.pids(service)
        for pid in copies:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

            def is_replaced(pid: int = pid) -> bool:
                running = self._stack.pids(service)
                return pid not in running and len(running) >= len(copies)

            await self._back(is_replaced, f"{service} runs again")

    async def _lose_log(self, topic: str, *, is_made_anew: bool) -> None:
        """Lose what a topic holds while those who read it are behind."""
        reader = "status-api" if topic in SHOWN else f"{_PREFIX}{topic.split('.')[1]}"
        async with self._killing:
            await self._brokers_run()
            await self._runs(reader)
            behind = self._stack.kill(reader, signal.SIGSTOP)
            began = time.time()
            try:
                await asyncio.sleep(_BEHIND_SECONDS)
                lose = topics.make_anew if is_made_anew else topics.empty
                await lose(self._stack.connections.kafka, topic)
            finally:
                for pid in behind:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
                self._note_doubt(reader, len(behind), time.time() - began, since=began)
                self.losses.append(Loss(time.time(), topic))

    async def _fill_disk(self, seconds: float) -> int:
        disk = self._targets.disk
        assert disk is not None
        async with self._killing:
            for channel in _CHANNELS:
                self._note_doubt(f"{_PREFIX}{channel}", 0, seconds)
            disk.fill()
            try:
                await asyncio.sleep(seconds)
            finally:
                disk.free()
        return 0

    async def _turn(self, mood: Mood, seconds: float) -> None:
        self._targets.carrier.mood = mood
        await self._targets.relay.turn(mood)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._targets.carrier.mood = Mood.WELL
            await self._targets.relay.turn(Mood.WELL)

    def _note_doubt(self, service: str, kills: int, seconds: float = 0.0, since: float | None = None) -> None:
        if service.startswith(_PREFIX):
            began = time.time() if since is None else since
            channel = service.removeprefix(_PREFIX)
            self.disturbances.append(Disturbance(began, began + seconds, channel, kills))

    async def _brokers_run(self) -> None:
        """Wait until every broker listens: who is killed before that, again and again, never comes back."""
        ports = [int(address.rpartition(":")[2]) for address in self._stack.connections.kafka.split(",")]

        def do_listen() -> bool:
            return len(self._stack.pids("kafka")) == self._targets.brokers and all(map(is_listening, ports))

        await self._back(do_listen, "all brokers run")

    async def _runs(self, service: str) -> None:
        await self._back(lambda: bool(self._stack.pids(service)), f"{service} runs")

    async def _back(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(_BACK_SECONDS):
                while not condition():  # noqa: ASYNC110 (processes: no event)
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise TimeoutError(f"it never came to pass that {what}") from None


async def in_turn(injector: Injector, strikes: Iterable[Strike], is_enough: Callable[[], bool] = lambda: False) -> None:
    """Strike after strike, each followed by its pause, until there are no more or there are enough."""
    for strike in strikes:
        if is_enough():
            return
        await injector.strike(strike)
        await asyncio.sleep(strike.pause)
