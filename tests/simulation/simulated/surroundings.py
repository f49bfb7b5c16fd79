"""What a run needs around it: no chance, short naps, short minutes, an ear for errors, and no collection of garbage."""

from __future__ import annotations

import gc
import logging
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

import structlog

from simulated.world import World

SECONDS: Final = {
    "sluice_messaging.membership.POLL_SECONDS": 10.0,
    "sluice_messaging.table.POLL_SECONDS": 60.0,
    "sluice_channel.parking._LOOK_SECONDS": 4.0,
    "sluice_messaging.committer.COMMIT_EVERY_SECONDS": 2.0,
}
"""How long the services nap between two looks, so that a run of seconds is not all looking."""

HOURS: Final = {
    "sluice_messaging.membership.POLL_SECONDS": 86_400.0,
    "sluice_messaging.table.POLL_SECONDS": 86_400.0,
    "sluice_channel.parking._LOOK_SECONDS": 86_400.0,
    "sluice_messaging.committer.COMMIT_EVERY_SECONDS": 3_600.0,
}
"""The same for a run of weeks."""

SHORT_MINUTE: Final = 1.5
"""How many seconds a minute of a workflow lasts where a run is to be over in seconds."""

_MINUTES: Final = (
    "orchestrator.domain.plan.timedelta",
    "orchestrator.domain.rules.timedelta",
    "orchestrator.adapters.releases.timedelta",
    "orchestrator.adapters.waits.timedelta",
)
_HARMLESS: Final = frozenset({"account.refused"})


@contextmanager
def prepared(world: World, naps: Mapping[str, float], minute: float = 60.0) -> Iterator[list[str]]:
    """Take chance out of what the services do, set how long they nap and wait; yield what they log as errors."""
    errors: list[str] = []

    def collect(logger: object, method: str, event: dict[str, Any]) -> str:
        if event["event"] not in _HARMLESS:
            errors.append(str({name: value for name, value in event.items() if name != "exc_info"} | _cause(event)))
        raise structlog.DropEvent

    def length(*, minutes: float) -> timedelta:
        return timedelta(seconds=minutes * minute)

    configuration = structlog.get_config()
    with ExitStack() as patches:
        for name, value in (
            ("sluice_channel.ledger.uuid4", world.new_id),
            ("orchestrator.handlers.stages.new_id", world.new_id),
            ("orchestrator.adapters.releases.new_id", world.new_id),
            *((name, length) for name in _MINUTES),
            *naps.items(),
        ):
            patches.enter_context(patch(name, value))
        structlog.configure(
            processors=[collect],
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
            cache_logger_on_first_use=False,
        )
        try:
            yield errors
        finally:
            structlog.configure(**configuration)


@contextmanager
def uncollected(seed: int) -> Iterator[None]:
    """Let the one source of chance that is shared by all be the seed's, and no garbage be collected.

    What is collected in the middle of a run would be finalised at a moment that no seed decides.
    """
    state, collects = random.getstate(), gc.isenabled()
    random.seed(seed)
    gc.disable()
    try:
        yield
    finally:
        random.setstate(state)
        if collects:
            gc.enable()


def _cause(event: dict[str, Any]) -> dict[str, str]:
    cause = event.get("exc_info")
    if cause is True:
        cause = sys.exc_info()[1]
    return {"cause": repr(cause)} if cause else {}
