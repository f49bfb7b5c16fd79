"""JSON Schemas of the messages."""

from __future__ import annotations

from typing import Any

from sluice_contracts.base import Message


def json_schema(message: type[Message]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what a reader may find: fields that came later are not required."""
    schema = message.model_json_schema(mode="validation")
    schema["required"] = ["type", *schema.get("required", ())]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:sluice:{message.TYPE}",
        **schema,
    }


def summary(message: type[Message]) -> str:
    """Return the first paragraph of what the message says of itself, as one line."""
    first, _, _ = (message.__doc__ or "").strip().partition("\n\n")
    return " ".join(first.split())
