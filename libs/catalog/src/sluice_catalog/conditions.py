"""Conditions that people write: CEL, checked when it is saved, and never an exception when it is evaluated.

`contact`, `variables`, `steps` and `event` are maps of anything. What cannot be decided (a key that is not there, a
comparison of a text with a number) is a `ConditionError`: it counts as no match, and its reason is worth a log line.

The engine bounds recursion and iterations, but not what is done in each: a condition that could do more than look at
its values a few times is decided by the referee, who stops what takes too long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import orjson
from cel_expr_python import cel

from sluice_catalog.refereeing.referee import MOST_INLINE_BYTES, REFEREE, TOO_MUCH, TooMuchError

MAX_SOURCE_LENGTH: Final = 2000
ALL_NAMES: Final = ("contact", "variables", "steps", "event")
CONTACT_ONLY: Final = ("contact",)
EVENT_AND_CONTACT: Final = ("event", "contact")

_LOOP: Final = re.compile(r"\b(?:all|exists|exists_one|map|filter)\b")
_NAME: Final = re.compile(rf"\b(?:{'|'.join(ALL_NAMES)})\b")
_PATTERN: Final = re.compile(r"\bmatches\b")
_MOST_DEPTH: Final = 32
_BUDGET: Final = "Iteration budget exceeded"
_TOO_MANY: Final = "it goes through more than 10,000 elements"


class ConditionProblem(ValueError):  # noqa: N818 - a finding about what somebody wrote, not a failure of ours
    """The source is no condition; the message says why, for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class ConditionError:
    """Why a condition could not be decided for these values."""

    reason: str

    @property
    def is_excess(self) -> bool:
        """Whether it was too much work, and not the values that did not fit."""
        return self.reason in {TOO_MUCH, _TOO_MANY}


class View:
    """What conditions with the same names see of one situation: made once, it serves any number of them.

    The values must be JSON (dict, list, str, int, float, bool, None). Of others no condition can be decided.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        *,
        contact: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        steps: Mapping[str, Any] | None = None,
        event: Mapping[str, Any] | None = None,
    ) -> None:
        given = {"contact": contact, "variables": variables, "steps": steps, "event": event}
        self.names = names
        self.given = {name: given[name] or {} for name in names}
        self.values: Any = None
        self.problem = ""
        try:
            self.values = _environment(names).Activation(self.given)
        except (RuntimeError, TypeError, ValueError) as error:
            self.problem = str(error)

    @cached_property
    def size(self) -> int:
        """The bytes of the values as JSON. Raises TypeError where they are none."""
        return len(orjson.dumps(self.given))


class Condition:
    """A compiled condition. Safe to share and to evaluate any number of times."""

    def __init__(self, source: str, names: tuple[str, ...], expression: Any) -> None:
        self.source = source
        self._names = names
        self._expression = expression
        self._is_light = _is_light(source)

    def evaluate(
        self,
        *,
        contact: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        steps: Mapping[str, Any] | None = None,
        event: Mapping[str, Any] | None = None,
    ) -> bool | ConditionError:
        """Decide for these values; see `View`."""
        return self.holds(View(self._names, contact=contact, variables=variables, steps=steps, event=event))

    def holds(self, view: View) -> bool | ConditionError:
        """Decide for a view, which must have the condition's own names."""
        assert view.names == self._names  # noqa: S101 - a mistake of ours, not of whoever wrote the condition
        if view.values is None:
            return ConditionError(view.problem)
        try:
            if self._is_light and view.size <= MOST_INLINE_BYTES:
                return self.decided_here(view)
            arguments = {"source": self.source, "names": self._names, "values": view.given}
            answer = REFEREE.ask(f"{__name__}:decision", self.source, arguments)
        except TypeError as error:
            return ConditionError(str(error))
        except TooMuchError as error:
            return ConditionError(str(error))
        return ConditionError(answer["reason"]) if "reason" in answer else bool(answer["decision"])

    def decided_here(self, view: View) -> bool | ConditionError:
        """Decide in this process, however long it takes."""
        try:
            result = self._expression.eval(view.values)
            if result.type() == cel.Type.BOOL:
                return bool(result.value())
            return ConditionError(_reason(str(result.value())))
        except (RuntimeError, TypeError, ValueError) as error:
            return ConditionError(_reason(str(error)))


def decision(source: str, names: list[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a condition comes to as the referee says it: `decision`, or the `reason` why there is none."""
    view = View(tuple(names), **values)
    found = compile_condition(source, view.names).decided_here(view)
    return {"reason": found.reason} if isinstance(found, ConditionError) else {"decision": found}


def _is_light(source: str) -> bool:
    """Return whether a condition looks at its values a few times at most, which its words tell.

    It has one loop at most, in which only what the loop is about is named, and no pattern.
    """
    loops = list(_LOOP.finditer(source))
    if _PATTERN.search(source) or len(loops) > 1:
        return False
    return not loops or not _NAME.search(source, loops[0].end())


@lru_cache(maxsize=len((ALL_NAMES, CONTACT_ONLY, EVENT_AND_CONTACT)))
def _environment(names: tuple[str, ...]) -> Any:
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))


@lru_cache(maxsize=4096)
def compile_condition(source: str, names: tuple[str, ...] = ALL_NAMES) -> Condition:
    """Compile `source`, in which only `names` are known.

    Raises ConditionProblem when it is too long, is not CEL, names something unknown or does not yield true or false.
    """
    if len(source) > MAX_SOURCE_LENGTH:
        raise ConditionProblem(f"A condition has at most {MAX_SOURCE_LENGTH} characters")
    if not source.strip():
        raise ConditionProblem("A condition must not be empty")
    try:
        expression = _environment(names).compile(source)
    except (RuntimeError, ValueError) as error:
        raise ConditionProblem(_readable(str(error))) from error
    if not any(expression.return_type() == kind for kind in (cel.Type.BOOL, cel.Type.DYN)):
        raise ConditionProblem(f"A condition yields true or false; this one yields {expression.return_type()}")
    return Condition(source, names, expression)


def _readable(message: str) -> str:
    if "recursion" in message:
        return f"Parts of a condition are nested at most {_MOST_DEPTH} deep"
    first_line = message.removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ").splitlines()[0]
    return first_line.removeprefix("<input>:").strip()


def _reason(message: str) -> str:
    return _TOO_MANY if _BUDGET in message else message
