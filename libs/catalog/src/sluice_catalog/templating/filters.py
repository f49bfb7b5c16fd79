"""The filters that a template may use, each within bounds on what it takes and what it makes.

Only filters whose cost grows no faster than their arguments are here: none that takes a lambda, compares every item
with every other, or runs a regular expression over the text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final

from liquid.builtin.filters import array, math, misc, string
from liquid.undefined import Undefined

from sluice_catalog.templating.problems import MissingVariable, TemplateLimitExceeded, TemplateRenderProblem
from sluice_catalog.templating.text import text_of

MAX_TEXT: Final = 100_000
MAX_ITEMS: Final = 10_000
MAX_NUMBER: Final = 10**15
_MAX_DIGITS: Final = 15
_MAX_FORMAT: Final = 100
Filter = Callable[..., Any]


def _date(value: Any, pattern: str = "%Y-%m-%d") -> str:
    """Format a time (ISO 8601, or seconds since 1970) as `strftime` does, in its own zone; other texts stay."""
    if len(pattern) > _MAX_FORMAT:
        raise TemplateLimitExceeded(f"A date format has at most {_MAX_FORMAT} characters")
    try:
        moment = (
            datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else datetime.fromisoformat(str(value))
        )
        return moment.strftime(str(pattern))
    except (ValueError, OverflowError, OSError):
        return str(value)


ALLOWED: Final[dict[str, Filter]] = {
    "abs": math.abs_,
    "append": string.append,
    "at_least": math.at_least,
    "at_most": math.at_most,
    "capitalize": string.capitalize,
    "ceil": math.ceil,
    "date": _date,
    "default": misc.default,
    "divided_by": math.divided_by,
    "downcase": string.downcase,
    "escape": string.escape,
    "first": array.first,
    "floor": math.floor,
    "join": array.join,
    "last": array.last,
    "lstrip": string.lstrip,
    "minus": math.minus,
    "modulo": math.modulo,
    "newline_to_br": string.newline_to_br,
    "plus": math.plus,
    "prepend": string.prepend,
    "remove": string.remove,
    "remove_first": string.remove_first,
    "replace": string.replace,
    "replace_first": string.replace_first,
    "reverse": array.reverse,
    "round": math.round_,
    "rstrip": string.rstrip,
    "size": misc.size,
    "slice": string.slice_,
    "split": string.split,
    "squish": string.squish,
    "strip": string.strip,
    "strip_newlines": string.strip_newlines,
    "times": math.times,
    "truncate": string.truncate,
    "truncatewords": string.truncatewords,
    "upcase": string.upcase,
    "url_encode": string.url_encode,
}
_TEXT_FILTERS: Final = frozenset(name for name, function in ALLOWED.items() if function.__module__ == string.__name__)


def bounded(name: str, function: Filter, spend: Callable[[Any, int], None]) -> Filter:
    """Return the filter with its arguments checked, its result checked, and both paid for with `spend(context, size)`.

    A variable without a value raises MissingVariable, save as what `default` replaces.
    """

    @wraps(function)
    def limited(left: Any, *arguments: Any, context: Any, environment: Any = None, **named: Any) -> Any:
        for value in (left, *arguments, *named.values()):
            if isinstance(value, Undefined) and not (name == "default" and value is left):
                raise MissingVariable(value.name)
            spend(context, _size(value))
        if name in _TEXT_FILTERS and not isinstance(left, str | Undefined):
            left = text_of(left, escape_html=False)
        _check_growth(name, left, arguments)
        if getattr(function, "with_environment", False):
            named["environment"] = environment
        if getattr(function, "with_context", False):
            named["context"] = context
        result = function(left, *arguments, **named)
        spend(context, _size(result))
        return result

    limited.with_context = True  # type: ignore[attr-defined]
    return limited


def _size(value: Any) -> int:
    """Return about how much a value weighs, in characters.

    Raises TemplateLimitExceeded when it is more than one value may weigh.
    """
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise TemplateLimitExceeded(f"A text in a template has at most {MAX_TEXT:,} characters")
        return len(value)
    if isinstance(value, list | tuple | range | dict) and not isinstance(value, Undefined):
        if value[MAX_ITEMS:] if isinstance(value, range) else len(value) > MAX_ITEMS:
            raise TemplateLimitExceeded(f"A list in a template has at most {MAX_ITEMS:,} items")
        return len(value)
    if isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        raise TemplateLimitExceeded("A number in a template is too large")
    return 1


def _check_growth(name: str, left: Any, arguments: tuple[Any, ...]) -> None:
    if name == "replace" and arguments:
        made = str(left).count(str(arguments[0])) * len(str(arguments[1]) if len(arguments) > 1 else "")
    elif name == "join" and isinstance(left, list | tuple | range):
        made = len(left) * len(str(arguments[0]) if arguments else " ") + sum(len(str(item)) for item in left)
    elif name == "round" and arguments:
        if isinstance(arguments[0], int | float) and abs(arguments[0]) <= _MAX_DIGITS:
            return
        raise TemplateRenderProblem("round takes a number of digits")
    else:
        return
    if made > MAX_TEXT:
        raise TemplateLimitExceeded(f"A text in a template has at most {MAX_TEXT:,} characters")
