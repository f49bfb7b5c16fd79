"""From an event's data to a trigger's variables: a path, a type, a default."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

from sluice_catalog.models import VariableMapping
from sluice_catalog.paths import Found, PathProblem, SearchProblem, compile_path, values_at
from sluice_contracts.base import format_instant

_MILLISECONDS_FROM: Final = 10**11
"""Numbers from here on are Unix milliseconds and not seconds (which would be the year 5138)."""

VariableType = Literal["string", "number", "boolean", "date", "json"]
_TRUTHS: Final[dict[Any, bool]] = {"true": True, "false": False, "1": True, "0": False, 1: True, 0: False}


class MappingProblem(ValueError):  # noqa: N818 - a finding about what somebody sent, not a failure of ours
    """A variable cannot be made; the message says which and why."""


def text_at(path: str, data: Mapping[str, Any]) -> str | None:
    """Return the one value at `path` as text, None where there is none, several, or one that is no text or number."""
    try:
        return variables_of([VariableMapping("text", path, "string")], data).get("text")
    except (MappingProblem, PathProblem):
        return None


def as_text(value: Any) -> str | None:
    """Return a text, number or truth as text, None for anything else."""
    return _string(value)


def variables_of(mappings: Iterable[VariableMapping], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that `mappings` take from `data`, which is JSON.

    Raises MappingProblem for the first that is required and not there, or that cannot be read as its type, and where
    finding them takes too long; PathProblem where a path cannot be used.
    """
    listed = list(mappings)
    try:
        everything = values_at([mapping.path for mapping in listed], data)
    except SearchProblem as problem:
        raise MappingProblem(f"The variables cannot be made: {problem}") from problem
    variables = {}
    for mapping, values in zip(listed, everything, strict=True):
        found = _only(mapping, values)
        if found is None and mapping.default is None:
            if mapping.required:
                raise MappingProblem(
                    f'The variable "{mapping.variable}" is required, and "{mapping.path}" finds nothing'
                )
            continue
        try:
            variables[mapping.variable] = converted(mapping.default if found is None else found, mapping.type)
        except ValueError as error:
            raise MappingProblem(f'The variable "{mapping.variable}" from "{mapping.path}" {error}') from error
    return variables


def converted(value: Any, kind: VariableType) -> Any:
    """Return `value`, which is JSON, as `kind`; a date becomes ISO 8601 text in UTC, or a day as it is.

    Raises ValueError that continues the sentence "The variable …".
    """
    if kind == "json":
        return value
    read = {"string": _string, "number": _number, "boolean": _boolean, "date": _date}[kind]
    result = read(value)
    if result is None:
        raise ValueError(f"is no {kind}")
    return result


def _only(mapping: VariableMapping, values: Found) -> Any:
    """Return the one value that a variable takes of those that its path finds, None where there is none."""
    if isinstance(values, str):
        raise MappingProblem(f'The variable "{mapping.variable}" cannot be made of "{mapping.path}": {values}')
    if compile_path(mapping.path).singular_query() or not values:
        return values[0] if values else None
    if mapping.type == "json":
        return values
    if len(values) > 1:
        raise MappingProblem(f'The variable "{mapping.variable}" takes one value, and there are {len(values)}')
    return values[0]


def _string(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return None
        whole = number.is_integer() and value.strip().lstrip("+-").isascii() and value.strip().lstrip("+-").isdigit()
        value = int(value) if whole else number
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _TRUTHS.get(value.strip().lower())
    return _TRUTHS.get(value) if isinstance(value, int) else None


def _date(value: Any) -> str | None:
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return format_instant(datetime.fromtimestamp(value / (1000 if value >= _MILLISECONDS_FROM else 1), UTC))
        if isinstance(value, str):
            text = value.strip()
            if len(text) == len("2026-03-01"):
                return date.fromisoformat(text).isoformat()
            moment = datetime.fromisoformat(text)
            return format_instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError, OSError):
        return None
    return None
