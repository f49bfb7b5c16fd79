"""What is wrong with a request, field by field, in words for its author."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json

from sluice_runtime.http.problems import FieldError, invalid

_MOST_ERRORS: Final = 50
_ESCAPED_NUL: Final = b"\\u0000"


def field_errors(error: ValidationError, given: bytes | dict[str, Any]) -> list[FieldError]:
    """Return the first fifty errors with dotted paths into `given`, the JSON or the values that were validated.

    Pydantic's own paths also name the members of unions that it tried; a step that leads nowhere in what was given is
    such a name and is left out, unless it is the last: then it is the missing field.
    """
    document = _document(given)
    found: list[FieldError] = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        entry: FieldError = {"field": _path(item["loc"], document), "message": _message(item["msg"])}
        if entry not in found:
            found.append(entry)
        if len(found) == _MOST_ERRORS:
            break
    return found


def _document(given: bytes | dict[str, Any]) -> Any:
    if isinstance(given, dict):
        return given
    try:
        return from_json(given)
    except ValueError:
        return None


def _path(location: tuple[int | str, ...], document: Any) -> str:
    steps = []
    here = document
    for place, step in enumerate(location):
        match here:
            case dict() if step in here:
                here = here[step]
            case list() if isinstance(step, int) and step < len(here):
                here = here[step]
            case dict() if place == len(location) - 1:
                pass
            case _:
                continue
        steps.append(str(step))
    return ".".join(steps)


def _message(text: str) -> str:
    return text.removeprefix("Value error, ").removeprefix("Assertion failed, ").encode(errors="replace").decode()


def refuse_nul(raw: bytes) -> None:
    """Return if no string of the JSON document `raw` holds a NUL character, which PostgreSQL cannot store.

    Raises Problem 422 naming the field.
    """
    if _ESCAPED_NUL not in raw:
        return
    field = _field_with_nul(from_json(raw))
    if field is not None:
        raise invalid([{"field": field, "message": "must not hold the NUL character"}])


def _field_with_nul(document: Any) -> str | None:
    ahead: list[tuple[str, Any]] = [("", document)]
    while ahead:
        field, value = ahead.pop()
        match value:
            case str() if "\x00" in value:
                return field
            case dict():
                if any("\x00" in key for key in value):
                    return field
                ahead.extend((f"{field}.{key}".lstrip("."), item) for key, item in value.items())
            case list():
                ahead.extend((f"{field}.{place}".lstrip("."), item) for place, item in enumerate(value))
    return None
