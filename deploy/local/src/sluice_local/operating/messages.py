"""What each topic takes: choosing the model of a value, and saying what is wrong with one that fits none."""

from __future__ import annotations

import json
from typing import Final

from pydantic import ValidationError

from sluice_contracts.base import Message
from sluice_contracts.publish.traffic import traffic
from sluice_contracts.topics import Topic
from sluice_local.operating.errors import OperatingError

_MODELS: Final = {flow.topic.name: flow.messages for flow in traffic()}
_SOURCES: Final = {flow.topic.dead_letters: flow.topic for flow in traffic()}


class NotAMessageError(Exception):
    """A value is none of the messages of its topic; `problems` says why, one sentence each, without its values."""

    def __init__(self, topic: str, problems: list[str]) -> None:
        super().__init__(f"not a message of {topic}: {'; '.join(problems)}")
        self.problems = problems


def dead_letter_topics() -> list[str]:
    """Return the names of all dead-letter topics, in the order in which messages flow."""
    return list(_SOURCES)


def source_of(topic: str) -> Topic:
    """Return the topic whose dead letters lie in `topic`. Raises OperatingError for a topic that holds none."""
    if topic in _SOURCES:
        return _SOURCES[topic]
    if topic in _MODELS:
        raise OperatingError(f"{topic} holds no dead letters; theirs are in {_dead_letters(topic)}")
    raise OperatingError(f"there is no dead-letter topic {topic!r}; there are {', '.join(_SOURCES)}")


def message_of(topic: str, value: bytes, named: str | None = None) -> Message:
    """Read `value` as a message of `topic`; `named` is its type where the value does not say it itself.

    Raises NotAMessageError.
    """
    models = {model.TYPE: model for model in _MODELS[topic]}
    try:
        content = json.loads(value.decode())
    except (ValueError, RecursionError) as error:
        raise NotAMessageError(topic, [f"the value is not JSON: {error}"]) from error
    if not isinstance(content, dict):
        raise NotAMessageError(topic, ["the value is not a JSON object"])
    kind = content.get("type", named if len(models) > 1 else next(iter(models)))
    if not isinstance(kind, str) or kind not in models:
        raise NotAMessageError(topic, [f"type: is {kind!r}, and the topic takes {', '.join(models)}"])
    try:
        return models[kind].decode(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise NotAMessageError(
            topic, [f"{'.'.join(map(str, each['loc'])) or 'value'}: {each['msg']}" for each in problems[:10]]
        ) from error


def _dead_letters(topic: str) -> str:
    return next(name for name, source in _SOURCES.items() if source.name == topic)
