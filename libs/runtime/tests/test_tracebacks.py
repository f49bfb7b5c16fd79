from __future__ import annotations

import sys

import pytest
from pydantic import BaseModel, ValidationError

from sluice_runtime.tracebacks import LONGEST_MESSAGE, describe, render_exception


class Letter(BaseModel):
    to: int
    text: int


def raised_by(statement: str) -> str:
    """Return the traceback of whatever `statement` raises."""
    try:
        exec(statement, globals())  # noqa: S102
    except BaseException:  # noqa: BLE001
        kind, error, at = sys.exc_info()
        assert kind is not None
        assert error is not None
        return render_exception((kind, error, at))
    raise AssertionError("nothing was raised")


def test_what_did_not_validate_is_named_and_not_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        Letter.model_validate({"to": "ada@example.test", "text": "secret words"})
    assert describe(caught.value) == "Letter: to: int_parsing; text: int_parsing"
    text = raised_by(
        "try:\n    Letter.model_validate({'text': 'secret ' + 'words'})\n"
        "except ValidationError as error:\n    raise RuntimeError('no letter') from error"
    )
    assert "secret words" not in text
    assert "pydantic_core._pydantic_core.ValidationError: Letter: to: missing; text: int_parsing\n" in text
    assert "The above exception was the direct cause" in text
    assert text.endswith("RuntimeError: no letter")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("duplicate key\nDETAIL:  Key (email)=(ada@example.test) already exists.", "duplicate key"),
        ("invalid input for query argument $3: 'secret words' (expected str)", "invalid input for query argument $3"),
        ("x" * 2 * LONGEST_MESSAGE, "x" * LONGEST_MESSAGE),
        ("", ""),
    ],
)
def test_of_any_other_exception_the_first_line_is_shown(said: str, shown: str) -> None:
    assert describe(RuntimeError(said)) == shown


def test_a_traceback_reads_as_pythons_own() -> None:
    text = raised_by("def inner(): raise KeyError('x')\ninner()")
    first, *_, last = text.splitlines()
    assert first == "Traceback (most recent call last):"
    assert "in inner" in text
    assert last == "KeyError: 'x'"


def test_an_exception_without_words_is_its_name() -> None:
    assert raised_by("raise TimeoutError").endswith("\nTimeoutError")


def test_what_is_raised_while_another_is_handled_follows_it_unless_it_hides_it() -> None:
    handled = "try:\n    raise KeyError('first')\nexcept KeyError:\n    raise ValueError('second')"
    text = raised_by(handled)
    assert text.index("KeyError: 'first'") < text.index("During handling of the above") < text.index("second")
    assert "first" not in raised_by(f"{handled} from None").replace("KeyError('first')", "")


def test_the_members_of_a_group_follow_it() -> None:
    text = raised_by("raise ExceptionGroup('both', [KeyError('one'), ValueError('two')])")
    assert text.endswith("ExceptionGroup: both (2 sub-exceptions)\n    KeyError: 'one'\n    ValueError: two")


def test_exceptions_that_go_in_circles_end() -> None:
    text = raised_by(
        "one, two = KeyError('one'), ValueError('two')\none.__context__, two.__context__ = two, one\nraise one"
    )
    assert text.count("ValueError: two") == 1
