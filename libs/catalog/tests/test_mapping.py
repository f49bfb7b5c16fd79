"""From an event's data to variables: found, read as a type, or refused with a reason; never for long."""

from __future__ import annotations

from contextlib import suppress
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_catalog.mapping import MappingProblem, converted, text_at, variables_of
from sluice_catalog.models import VariableMapping
from sluice_catalog.paths import PathProblem, compile_path

ORDER = {"order": {"id": "o-77", "total": "49.90", "paid": "true", "at": 1772442000, "lines": [{"p": 1}, {"p": 2}]}}


@pytest.mark.parametrize(
    ("path", "kind", "value"),
    [
        ("$.order.id", "string", "o-77"),
        ("$.order.total", "number", 49.9),
        ("$.order.paid", "boolean", True),
        ("$.order.at", "date", "2026-03-02T09:00:00.000Z"),
        ("$.order.lines[0].p", "string", "1"),
        ("$.order.lines[*].p", "json", [1, 2]),
        ("$.order.lines[?@.p > 1].p", "number", 2),
        ("$..p", "json", [1, 2]),
        ("$['order']['lines'][-1]", "json", {"p": 2}),
    ],
)
def test_a_path_finds_a_value_and_it_is_read_as_its_type(path: str, kind: Any, value: Any) -> None:
    assert variables_of([VariableMapping("x", path, kind)], ORDER) == {"x": value}


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (True, "string", "true"),
        (7, "string", "7"),
        ("12", "number", 12),
        (" -3.5e2 ", "number", -350.0),
        (1, "boolean", True),
        ("FALSE", "boolean", False),
        ("2026-03-01", "date", "2026-03-01"),
        ("2026-03-01T10:00:00+02:00", "date", "2026-03-01T08:00:00.000Z"),
        ("2026-03-01T10:00:00", "date", "2026-03-01T10:00:00.000Z"),
        (1772442000000, "date", "2026-03-02T09:00:00.000Z"),
    ],
)
def test_values_become_what_is_asked_for(value: Any, kind: Any, expected: Any) -> None:
    result = converted(value, kind)
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind"),
    [({}, "string"), ([], "number"), (True, "number"), ("nan", "number"), ("1e999", "number"), ("x", "number"),
     ("maybe", "boolean"), (2, "boolean"), (1.0, "date") , ("yesterday", "date"), (10**30, "date"), ({}, "date")],
)  # fmt: skip
def test_what_is_not_of_the_type_is_refused(value: Any, kind: Any) -> None:
    if (value, kind) == (1.0, "date"):
        assert converted(value, kind) == "1970-01-01T00:00:01.000Z"
        return
    with pytest.raises(ValueError, match="is no"):
        converted(value, kind)


def test_nothing_or_null_is_the_default_and_without_one_the_variable_is_left_out() -> None:
    data = {"given": None}
    mappings = [
        VariableMapping("a", "$.given", "string", default="none"),
        VariableMapping("b", "$.missing", "number", default="3"),
        VariableMapping("c", "$.missing"),
    ]
    assert variables_of(mappings, data) == {"a": "none", "b": 3}


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        (VariableMapping("total", "$.nothing", "number", required=True), "is required"),
        (VariableMapping("total", "$.order", "number"), "is no number"),
        (VariableMapping("total", "$..p", "number"), "there are 2"),
    ],
)
def test_a_variable_that_cannot_be_made_says_which_and_why(mapping: VariableMapping, reason: str) -> None:
    with pytest.raises(MappingProblem, match=f'"total".*{reason}'):
        variables_of([mapping], ORDER)


@pytest.mark.parametrize(
    "path",
    ["", "order.id", "$.", "$[", "$" + ".a" * 200, "$..a..b", "$[?@.a][?@.b]", "$[?match(@.a, '(a+)+$')]", "$[9e9]"],
)
def test_a_path_that_is_none_or_could_run_for_long_is_refused(path: str) -> None:
    with pytest.raises(PathProblem):
        compile_path(path)


def test_a_path_over_a_large_event_ends_soon() -> None:
    data = {"rows": [{"n": n, "deep": {"er": [n] * 5}} for n in range(5000)]}
    began = process_time()
    for path in ("$..*", "$.rows[?@.n >= $.rows[0].n].deep", "$..[?@.n > 1]", "$..[?count(@.*) > 3]"):
        with pytest.raises(MappingProblem, match="1000"):
            variables_of([VariableMapping("x", path)], data)
    assert process_time() - began < 3


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("$.l" + "[0,0]" * 30 + ".x", {"l": nested(30)}),
        ("$.l[?$.l == $.l].x", {"l": list(range(60_000))}),
    ],
)
def test_a_path_that_looks_at_everything_again_and_again_is_given_up(path: str, data: Any) -> None:
    with pytest.raises(MappingProblem, match="more computing"):
        variables_of([VariableMapping("x", path)], data)
    assert text_at(path, data) is None
    assert variables_of([VariableMapping("x", "$.l[0:1]"), VariableMapping("y", "$.l[1]", default=2)], {"l": [1]}) == {
        "x": [1],
        "y": 2,
    }


def test_many_paths_together_get_no_more_time_than_one() -> None:
    mappings = [VariableMapping(f"x{number}", "$..nothing") for number in range(100)]
    with pytest.raises(MappingProblem, match="more computing"):
        variables_of(mappings, {"l": [[0]] * 60_000})


def test_what_is_found_in_much_is_the_same_as_in_little() -> None:
    lines = [{"sku": f"s{number}", "price": number} for number in range(900)]
    mappings = [VariableMapping("dear", "$.lines[?@.price > 897].sku"), VariableMapping("last", "$.lines[-1:].price")]
    assert variables_of(mappings, {"lines": lines}) == {"dear": ["s898", "s899"], "last": [899]}
    assert variables_of(mappings, {"lines": lines[-2:]}) == {"dear": ["s898", "s899"], "last": [899]}


def test_data_that_is_nested_without_end_is_refused() -> None:
    data: dict[str, Any] = {}
    for _ in range(500):
        data = {"a": data}
    with pytest.raises(MappingProblem):
        variables_of([VariableMapping("x", "$..b")], data)


@given(st.text(max_size=40))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    with suppress(PathProblem, MappingProblem):
        variables_of([VariableMapping("x", text)], ORDER)
