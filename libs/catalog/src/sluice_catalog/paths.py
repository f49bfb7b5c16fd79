"""What is found at a JSONPath (RFC 9535) in an event's data.

Rules are written by people whom we do not know, and run on data that other people send, so a path has limits: its
length, one descent through everything, one filter, no regular expressions, and a bounded number of values. What could
run for long all the same is left to the referee, who stops it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import orjson
from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathQuery

from sluice_catalog.refereeing.referee import MOST_INLINE_BYTES, REFEREE, TooMuchError

MOST_PATH_LENGTH: Final = 300
_MOST_VALUES: Final = 1000

Found = list[Any] | str
"""The values at a path, or why there can be none."""


class PathProblem(ValueError):  # noqa: N818 - a finding about what somebody wrote, not a failure of ours
    """The text is no path that may be used; the message says why, for the person who wrote it."""


class SearchProblem(ValueError):  # noqa: N818 - a finding about what somebody wrote and sent, not a failure of ours
    """The search was given up; the message says why."""


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


def values_at(paths: Sequence[str], data: Mapping[str, Any]) -> list[Found]:
    """Return what is found at each of `paths` in `data`, which is JSON.

    Raises PathProblem where one cannot be used, and SearchProblem where the search takes too long.
    """
    searching = [path for path in paths if not compile_path(path).singular_query()]
    if not searching or _is_light(searching, data):
        return found(paths, data)
    try:
        arguments = {"paths": paths, "data": data}
        answer: list[Found] = REFEREE.ask(f"{__name__}:found", "\n".join(searching), arguments)
    except TooMuchError as error:
        raise SearchProblem(str(error)) from error
    except TypeError as error:
        raise SearchProblem(f"what was sent cannot be searched: {error}") from error
    return answer


def _is_light(paths: Sequence[str], data: Mapping[str, Any]) -> bool:
    """Return whether `paths` are followed by looking once at everything, and that is not much.

    A filter can look at everything for each of its elements, and every comma of a path doubles what follows.
    """
    if any("?" in path or "," in path for path in paths):
        return False
    try:
        return len(paths) * len(orjson.dumps(data)) <= MOST_INLINE_BYTES
    except TypeError:
        return False


def found(paths: Sequence[str], data: Mapping[str, Any]) -> list[Found]:
    """Return what is found at each of `paths`, in this process and however long it takes."""
    return [_found_at(path, data) for path in paths]


def _found_at(path: str, data: Mapping[str, Any]) -> Found:
    try:
        values = [node.value for node in islice(compile_path(path).finditer(dict(data)), _MOST_VALUES + 1)]
    except (JSONPathError, RecursionError) as error:
        return str(error)
    return values if len(values) <= _MOST_VALUES else f"it finds more than {_MOST_VALUES} values"
