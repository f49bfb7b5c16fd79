from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sluice_storage.statements import load, parse

SQL = """
-- Statements for tests.

-- name: one
SELECT 1;

-- name: due_timers
-- Due ones first.
SELECT id -- the place
FROM timers
"""


def test_statements_are_attributes_by_their_names() -> None:
    statements = parse(SQL)
    assert statements.one == "SELECT 1;"
    assert statements.due_timers.endswith("FROM timers")
    assert dir(statements) == ["due_timers", "one"]


def test_an_unknown_name_says_which() -> None:
    with pytest.raises(AttributeError, match="two"):
        _ = parse(SQL).two


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;\n-- name: a\nSELECT 2", "before the first"),
        ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "a stands there twice"),
        ("-- name: a\n-- only words\n-- name: b\nSELECT 1", "a has no statement"),
        ("-- name: due-timers\nSELECT 1", "cannot be"),
        ("-- name: _hidden\nSELECT 1", "cannot be"),
    ],
)
def test_a_file_that_is_not_in_order_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text, source="x/queries.sql")


@pytest.mark.parametrize("folder", ["", "sql"])
def test_a_file_is_found_in_the_package_or_its_folder_sql(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / f"statements_in_{folder or 'root'}"
    (package / folder).mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / folder / "queries.sql").write_text(SQL)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert load(package.name).one == "SELECT 1;"
        with pytest.raises(FileNotFoundError, match=r"nothing\.sql"):
            load(package.name, "nothing.sql")
    finally:
        sys.modules.pop(package.name, None)
