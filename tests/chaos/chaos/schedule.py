"""Which faults happen in which order: a pure function of the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from random import Random
from typing import Final

SERVICES: Final = ("ingest", "orchestrator", "channel-sms", "channel-email", "channel-whatsapp", "status-api")

LOSABLE: Final = (
    *(f"commands.{channel}.{lane}" for channel in ("sms", "email", "whatsapp") for lane in ("priority", "bulk")),
    *(f"receipts.{channel}" for channel in ("sms", "email", "whatsapp")),
)
"""Topics between the services whose log may be lost, beside those that dashboards are made of.

`events` and `triggers.*` hold what was accepted and nobody has taken up yet: nothing else knows of it, so what is lost
there is lost. `control` is the only word that workers have of a pause for commands that are with them already.
"""

SHOWN: Final = ("deliveries", "executions")
"""Topics that dashboards are made of: these lose their logs in every seed."""


class Fault(StrEnum):
    """What can go wrong."""

    KILL = "kill -9"
    KILL_LEADER = "kill -9 of a leading broker"
    KILL_POSTGRES = "kill -9 of Postgres"
    KILL_ALL = "kill -9 of everything"
    STOP = "SIGSTOP and CONT"
    RESTART = "orderly restart"
    REFUSING = "provider refuses"
    SILENT = "provider is a black hole"
    THROTTLING = "provider throttles"
    REBALANCE = "rebalances"
    FULL_DISK = "full disk for Postgres"
    LOST_LOG = "lost log of a topic"


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault on one target. It lasts `seconds` where that means something; then `pause` seconds of peace."""

    fault: Fault
    target: str = ""
    seconds: float = 0.0
    pause: float = 0.0

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.fault} {self.target}".strip()


@dataclass(frozen=True, slots=True)
class Tempo:
    """How long faults last, in seconds, and how many logs are lost beside those that dashboards are made of."""

    stop: float
    mood: float
    rebalancing: float
    full_disk: float
    lost_logs: int
    pause: float
    between_kills: float


LONG: Final = Tempo(stop=60, mood=30, rebalancing=120, full_disk=30, lost_logs=3, pause=5, between_kills=10)
SHORT: Final = Tempo(stop=12, mood=8, rebalancing=20, full_disk=12, lost_logs=1, pause=1, between_kills=4)


def kills(seed: int, tempo: Tempo) -> Iterator[Strike]:
    """Yield kills for ever: every service in turn in a random order, with brokers and the database in between."""
    random = Random(f"kills {seed}")
    for turn in count():
        strikes = [Strike(Fault.KILL, service) for service in SERVICES]
        strikes += [Strike(Fault.KILL, random.choice(SERVICES[1:5])) for _ in range(2)]
        strikes += [Strike(Fault.KILL_LEADER), Strike(Fault.KILL_POSTGRES)]
        if turn % 4 == 1:
            strikes.append(Strike(Fault.KILL_ALL))
        random.shuffle(strikes)
        for strike in strikes:
            yield Strike(strike.fault, strike.target, 0.0, random.uniform(0.5, 1.5) * tempo.between_kills)


def ordeals(seed: int, tempo: Tempo) -> Sequence[Strike]:
    """Return the faults that last, each kind and each target once, in a random order."""
    random = Random(f"ordeals {seed}")
    strikes = [Strike(Fault.STOP, service, tempo.stop) for service in SERVICES]
    strikes += [Strike(Fault.RESTART, service) for service in SERVICES]
    strikes += [Strike(mood, "", tempo.mood) for mood in (Fault.REFUSING, Fault.SILENT, Fault.THROTTLING)]
    strikes.append(Strike(Fault.REBALANCE, "", tempo.rebalancing))
    strikes.append(Strike(Fault.FULL_DISK, "", tempo.full_disk))
    lost = (*random.sample(LOSABLE, tempo.lost_logs), *SHOWN)
    strikes += [Strike(Fault.LOST_LOG, topic, random.choice((0.0, 1.0))) for topic in lost]
    random.shuffle(strikes)
    return [Strike(each.fault, each.target, each.seconds, random.uniform(0.5, 1.5) * tempo.pause) for each in strikes]
