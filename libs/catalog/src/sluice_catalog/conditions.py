"""Conditions that people write: CEL, checked when it is saved, and never an exception when it is evaluated.

`contact`, `variables`, `steps` and `event` are maps of anything. What cannot be decided (a key that is not there, a
comparison of a text with a number) is a `ConditionError`: it counts as no match, and its reason is worth a log line.
The engine itself bounds recursion, iterations and regular expressions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

MAX_SOURCE_LENGTH: Final = 2000
ALL_NAMES: Final = ("contact", "variables", "steps", "event")
CONTACT_ONLY: Final = ("contact",)
EVENT_AND_CONTACT: Final = ("event", "contact")


class ConditionProblem(ValueError):  # noqa: N818 - a finding about what somebody wrote, not a failure of ours
    """The source is no condition; the message says why, for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class ConditionError:
    """Why a condition could not be decided for these values."""

    reason: str


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
        self.values: Any = None
        self.problem = ""
        try:
            self.values = _environment(names).Activation({name: given[name] or {} for name in names})
        except (RuntimeError, TypeError, ValueError) as error:
            self.problem = str(error)


class Condition:
    """A compiled condition. Safe to share and to evaluate any number of times."""

    def __init__(self, source: str, names: tuple[str, ...], expression: Any) -> None:
        self.source = source
        self._names = names
        self._expression = expression

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
            result = self._expression.eval(view.values)
            if result.type() == cel.Type.BOOL:
                return bool(result.value())
            return ConditionError(str(result.value()))
        except (RuntimeError, TypeError, ValueError) as error:
            return ConditionError(str(error))


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
    first_line = message.removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ").splitlines()[0]
    return first_line.removeprefix("<input>:").strip()
