"""The AsyncAPI 3 document: channels, operations and messages, for generators and viewers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sluice_contracts.base import Message
from sluice_contracts.publish.examples import read_examples
from sluice_contracts.publish.schemas import summary
from sluice_contracts.publish.traffic import Traffic
from sluice_contracts.topics import Cleanup

_BINDING_VERSION: Final = "0.5.0"
_DESCRIPTION: Final = (
    "Everything that Sluice's services tell one another. Read any topic with a consumer group of your own; "
    "records carry their type in the header `ce_type`. Fields are only ever added."
)


def asyncapi_document(flows: Sequence[Traffic]) -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of `flows`; payloads are references to the files in `schemas/`."""
    messages = list(dict.fromkeys(message for flow in flows for message in flow.messages))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Sluice", "version": "1.0.0", "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {flow.topic.name: _channel(flow) for flow in flows},
        "operations": dict(operation for flow in flows for operation in _operations(flow)),
        "components": {
            "messages": {message.TYPE: _message(message) for message in messages},
            "messageTraits": {"record": _RECORD},
        },
    }


_RECORD: Final[dict[str, Any]] = {
    "contentType": "application/json",
    "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _BINDING_VERSION}},
    "headers": {
        "type": "object",
        "required": ["ce_type"],
        "properties": {
            "ce_type": {"type": "string", "description": "The message's type, as in its field `type`."},
            "content-type": {"type": "string", "const": "application/json"},
            "traceparent": {"type": "string", "description": "W3C trace context, where a trace is under way."},
        },
    },
}


def _channel(flow: Traffic) -> dict[str, Any]:
    topic = flow.topic
    return {
        "address": topic.name,
        "description": topic.purpose,
        "messages": {message.TYPE: {"$ref": f"#/components/messages/{message.TYPE}"} for message in flow.messages},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["compact", "delete"] if topic.cleanup is Cleanup.COMPACT else ["delete"],
                    "retention.ms": topic.retention_ms,
                },
                "bindingVersion": _BINDING_VERSION,
            }
        },
        "x-key": topic.key,
    }


def _operations(flow: Traffic) -> list[tuple[str, dict[str, Any]]]:
    name = flow.topic.name
    common = {
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{message.TYPE}"} for message in flow.messages],
    }
    return [
        (f"send.{name}", {"action": "send", "summary": f"By {' and '.join(flow.producers)}.", **common}),
        (f"receive.{name}", {"action": "receive", "summary": f"By {' and '.join(flow.consumers)}.", **common}),
    ]


def _message(message: type[Message]) -> dict[str, Any]:
    return {
        "name": message.TYPE,
        "title": message.__name__,
        "summary": summary(message),
        "traits": [{"$ref": "#/components/messageTraits/record"}],
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./schemas/{message.TYPE}.json"},
        },
        "examples": [{"name": name, "payload": payload} for name, payload in read_examples(message).items()],
    }
