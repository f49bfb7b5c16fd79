"""Novu's step conditions (JSON logic over `subscriber` and `payload`) as our conditions (CEL).

A rule says when a step runs. A value that is not there is null, as it is in JSON logic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMPARISONS: Final = {
    "==": "==", "===": "==", "=": "==", "!=": "!=", "!==": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="
}  # fmt: skip
_JOINTS: Final = {"and": " && ", "or": " || "}
_METHODS: Final = {
    "contains": "contains",
    "startsWith": "startsWith",
    "endsWith": "endsWith",
    "beginsWith": "startsWith",
}
_OF_SUBSCRIBER: Final = {
    "subscriberId": "external_id",
    "firstName": "first_name",
    "lastName": "last_name",
    "email": "email",
    "phone": "phone_number",
    "locale": "locale",
    "timezone": "timezone",
    "data": "attributes",
}
_RESERVED: Final = re.compile(
    "true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|while"
)


class UntranslatableRule(ValueError):  # noqa: N818 - a finding about what somebody wrote
    """The rule uses what we have no word for; the message says what."""


def condition_of(rule: Any) -> str:
    """Return the condition that a rule stands for.

    Raises UntranslatableRule.
    """
    if not isinstance(rule, dict) or len(rule) != 1:
        raise UntranslatableRule("a rule is an object with one operator")
    ((operator, operands),) = rule.items()
    given = operands if isinstance(operands, list) else [operands]
    if operator in _JOINTS and given:
        return "(" + _JOINTS[operator].join(condition_of(inner) for inner in given) + ")"
    if operator in {"!", "not"} and len(given) == 1:
        return f"!{_bracketed(given[0])}"
    if operator == "!!" and len(given) == 1:
        return f"({_value(given[0])} != null)"
    return _comparison(operator, given)


def _bracketed(rule: Any) -> str:
    is_variable = isinstance(rule, dict) and set(rule) == {"var"}
    return f"({_value(rule)} != null)" if is_variable else f"({condition_of(rule)})"


def _comparison(operator: str, given: Sequence[Any]) -> str:
    if operator in _COMPARISONS and len(given) == 2:
        return f"({_value(given[0])} {_COMPARISONS[operator]} {_value(given[1])})"
    if operator in {"<", "<="} and len(given) == 3:
        low, middle, high = map(_value, given)
        return f"({low} {operator} {middle} && {middle} {operator} {high})"
    if operator == "in" and len(given) == 2:
        left, right = map(_value, given)
        if isinstance(given[1], str):
            return f"{right}.contains({left})"
        return f"({left} in {right})"
    if operator in _METHODS and len(given) == 2:
        return f"{_value(given[0])}.{_METHODS[operator]}({_value(given[1])})"
    raise UntranslatableRule(f"the operator {operator!r} is not supported")


def _value(operand: Any) -> str:
    match operand:
        case {"var": str(path)} if len(operand) == 1:
            return _variable(path)
        case {"var": [str(path)]} if len(operand) == 1:
            return _variable(path)
        case None | bool() | int() | float() | str():
            return json.dumps(operand, ensure_ascii=False)
        case list():
            return "[" + ", ".join(_value(item) for item in operand) + "]"
        case _:
            raise UntranslatableRule("only variables and plain values can be compared")


def _variable(path: str) -> str:
    root, *names = path.split(".")
    if root == "subscriber" and names:
        first = _OF_SUBSCRIBER.get(names[0])
        if first is None:
            raise UntranslatableRule(f"there is no {path!r}")
        found, names = "contact", [first, *names[1:]]
    elif root == "payload" and names:
        found = "variables"
    elif root in {"tenant", "actor", "context"} and names:
        found, names = "variables", [root, *names]
    else:
        raise UntranslatableRule(f"{path!r} is not known to a condition")
    if not all(_NAME.fullmatch(name) and not _RESERVED.fullmatch(name) for name in names):
        raise UntranslatableRule(f"{path!r} cannot be looked up in a condition")
    tests = []
    for name in names:
        found = f"{found}.{name}"
        tests.append(f"has({found})")
    return f"({' && '.join(tests)} ? {found} : null)"
