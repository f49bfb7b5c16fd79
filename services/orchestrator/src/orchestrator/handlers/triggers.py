"""The topics `triggers.<lane>`: accepted triggers, and requests about triggers."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from orchestrator.handlers.planning import Planner
from orchestrator.handlers.requests import RequestHandler
from sluice_contracts.messages.trigger import (
    RepeatRequested,
    RetryRequested,
    TriggerAccepted,
    TriggerActionRequested,
    TriggerMessage,
    decode_trigger,
)
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record
from sluice_runtime.failpoints import FAILPOINTS


class TriggerHandler:
    """Triggers of a batch are taken up together; requests follow one by one, in their order."""

    def __init__(self, planner: Planner, requests: RequestHandler) -> None:
        self._planner = planner
        self._requests = requests

    async def __call__(self, records: Sequence[Record]) -> None:
        """Handle one batch. Raises PoisonError for a record that is no message of these topics."""
        messages = [_read(record) for record in records]
        accepted = [message for message in messages if isinstance(message, TriggerAccepted)]
        if accepted:
            origins = {message.trigger_id: record for message, record in zip(messages, records, strict=True)}
            await self._planner.take_up(accepted, origins)
        for message in messages:
            match message:
                case TriggerActionRequested():
                    await self._requests.act(message)
                case RetryRequested():
                    await self._requests.retry(message)
                case RepeatRequested():
                    await self._requests.repeat(message)
                case _:
                    continue
        FAILPOINTS.reach("orchestrator.before_offset")


def _read(record: Record) -> TriggerMessage:
    try:
        return decode_trigger(record.value)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, item["loc"])) or "value" for item in error.errors(include_input=False)[:5])
        raise PoisonError(f"not a message about a trigger: {places}") from error
