"""Example messages. They are kept for ever: whatever was once on a topic must always be readable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sluice_contracts.base import Message

EXAMPLES: Final = Path(__file__).parents[3] / "examples"
"""The folder of examples in the source tree: `<type>/<what it shows>.json`."""

Examples = Mapping[str, Mapping[str, Any]]


def read_examples(message: type[Message], folder: Path = EXAMPLES) -> Examples:
    """Return the examples of `message` by what they show, in alphabetical order."""
    return {path.stem: json.loads(path.read_bytes()) for path in sorted((folder / message.TYPE).glob("*.json"))}


def losses(before: Any, after: Any, path: str = "") -> list[str]:
    """Return the paths at which `after` lacks or changes what `before` says; fields that were added are no loss."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return [
            loss
            for key, value in before.items()
            for loss in (losses(value, after[key], f"{path}.{key}") if key in after else [f"{path}.{key}"])
        ]
    if _is_list(before) and _is_list(after) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [loss for place, (old, new) in pairs for loss in losses(old, new, f"{path}.{place}")]
    return [] if type(before) is type(after) and before == after else [path]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
