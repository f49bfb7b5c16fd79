"""From an event's data to a trigger's variables: JSONPath (RFC 9535), a type, a default.

Rules are written by people whom we do not know, and run on data that other people send, so a path has limits: its
length, one descent through everything, one filter, no regular expressions, and a bounded number of values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Literal

from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathQuery

from sluice_catalog.models import VariableMapping
from sluice_contracts.base import format_instant

MOST_PATH_LENGTH: Final = 300
_MOST_VALUES: Final = 1000
_MILLISECONDS_FROM: Final = 10**11
"""Numbers from here on are Unix milliseconds and not seconds (which would be the year 5138)."""

VariableType = Literal["string", "number", "boolean", "date", "json"]
_TRUTHS: Final[dict[Any, bool]] = {"true": True, "false": False, "1": True, "0": False, 1: True, 0: False}


class PathProblem(ValueError):  # noqa: N818 - a finding about what somebody wrote, not a failure of ours
    """The text is no path that may be used; the message says why, for the person who wrote it."""


class MappingProblem(ValueError):  # noqa: N818 - a finding about what somebody sent, not a failure of ours
    """A variable cannot be made; the message says which and why."""


class _Paths(JSONPathEnvironment):
    """JSONPath without regular expressions: a hostile one could run for hours."""

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        del self.function_extensions["match"], self.function_extensions["search"]


_paths: Final = _Paths()


@lru_cache(maxsize=4096)
def compile_path(path: str) -> JSONPathQuery:
    """Compile `path`.

    Raises PathProblem when it is no JSONPath, or one that could run for long.
    """
    if len(path) > MOST_PATH_LENGTH:
        raise PathProblem(f"A path has at most {MOST_PATH_LENGTH} characters")
    if path.count("..") > 1 or path.count("?") > 1:
        raise PathProblem("A path may descend through everything (..) once, and filter (?) once")
    try:
        return _paths.compile(path)
    except (JSONPathError, RecursionError, ValueError) as error:
        raise PathProblem(f"This is not a JSONPath: {error}") from error


def checked_path(path: str) -> str:
    """Return `path`, for a validator. Raises ValueError with a sentence when it is no path that may be used."""
    try:
        compile_path(path)
    except PathProblem as problem:
        raise ValueError(str(problem)) from problem
    return path


def text_at(path: str, data: Mapping[str, Any]) -> str | None:
    """Return the one value at `path` as text, None where there is none, several, or one that is no text or number."""
    try:
        found = _found(VariableMapping("", path, "string"), data)
    except (MappingProblem, PathProblem):
        return None
    return _string(found)


def as_text(value: Any) -> str | None:
    """Return a text, number or truth as text, None for anything else."""
    return _string(value)


def variables_of(mappings: Iterable[VariableMapping], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that `mappings` take from `data`.

    Raises MappingProblem for the first that is required and not there, or that cannot be read as its type.
    """
    variables = {}
    for mapping in mappings:
        found = _found(mapping, data)
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


def _found(mapping: VariableMapping, data: Mapping[str, Any]) -> Any:
    query = compile_path(mapping.path)
    try:
        values = [node.value for node in islice(query.finditer(dict(data)), _MOST_VALUES + 1)]
    except (JSONPathError, RecursionError) as error:
        raise MappingProblem(f'The variable "{mapping.variable}" cannot be made: {error}') from error
    if len(values) > _MOST_VALUES:
        raise MappingProblem(f'The variable "{mapping.variable}" cannot be made of more than {_MOST_VALUES} values')
    if query.singular_query() or not values:
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
