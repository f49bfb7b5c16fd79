"""Exceptions as text for the log: where they came from and what they say, without the data that they choked on."""

from __future__ import annotations

import re
import traceback
from types import TracebackType
from typing import Final

from pydantic import ValidationError

LONGEST_MESSAGE: Final = 1_000
_MOST_PROBLEMS: Final = 5
_CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"
_ARGUMENT: Final = re.compile(r"(invalid input for query argument \$\d+): .*", re.DOTALL)
"""asyncpg shows the value of a statement's argument that it cannot encode."""


def describe(error: BaseException) -> str:
    """Return what `error` says, at most a thousand characters of its first line.

    Of what did not validate the places are named, and not what stood there. What comes after the first line is left
    out: PostgreSQL puts the values of a row there.
    """
    if isinstance(error, ValidationError):
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        named = [f"{'.'.join(map(str, each['loc'])) or 'value'}: {each['type']}" for each in problems[:_MOST_PROBLEMS]]
        more = ["…"] if len(problems) > _MOST_PROBLEMS else []
        return f"{error.title}: {'; '.join([*named, *more])}"
    first, _, _ = str(error).partition("\n")
    return _ARGUMENT.sub(r"\1", first)[:LONGEST_MESSAGE]


def render_exception(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:
    """Return the traceback of an exception and of those that led to it, in Python's own form.

    An exception that is raised from another one, or while it is handled, comes after it; those of a group come after
    the group, indented.
    """
    _, error, _ = exc_info
    return "".join(_lines(error, set())).rstrip("\n")


def _lines(error: BaseException, seen: set[int]) -> list[str]:
    seen.add(id(error))
    lines: list[str] = []
    before, sentence = error.__cause__, _CAUSE
    if before is None and not error.__suppress_context__:
        before, sentence = error.__context__, _CONTEXT
    if before is not None and id(before) not in seen:
        lines += [*_lines(before, seen), sentence]
    if error.__traceback__ is not None:
        lines += ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)]
    lines.append(f"{_name(type(error))}: {describe(error)}".removesuffix(": ") + "\n")
    for note in getattr(error, "__notes__", ()):
        lines.append(f"{note}\n")
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if id(inner) not in seen:
                text = "".join(_lines(inner, seen)).rstrip("\n")
                lines.append("".join(f"    {line}\n" for line in text.split("\n")))
    return lines


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
