"""The condition library says what is true: each example is evaluated."""

from __future__ import annotations

import pytest

from sluice_catalog.conditions import compile_condition
from sluice_catalog.expressions import LIBRARY, SAMPLE, Expression
from sluice_catalog.models import Contact


@pytest.mark.parametrize("expression", LIBRARY, ids=lambda expression: expression.name)
def test_every_example_of_the_library_is_true_of_the_sample(expression: Expression) -> None:
    assert compile_condition(expression.example).evaluate(**SAMPLE) is True


def test_the_library_shows_every_field_of_a_contact_and_of_an_event() -> None:
    shown = {expression.name for expression in LIBRARY if expression.kind == "field"}
    hidden = {"id", "workspace_id"}
    assert {f"contact.{name}" for name in Contact._fields if name not in hidden} <= shown
    assert {f"event.{name}" for name in SAMPLE["event"]} <= shown
    assert SAMPLE["contact"].keys() == {name for name in Contact._fields if name not in hidden}


def test_nothing_stands_in_the_library_twice() -> None:
    names = [expression.name for expression in LIBRARY]
    assert len(names) == len(set(names))
