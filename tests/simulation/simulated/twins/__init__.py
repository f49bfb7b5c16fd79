"""The statements of the services as functions over `storage.Transaction`, one for each by the same name.

That they do what the SQL does is not taken on trust: `test_twins.py` plays everything that a simulation asked of them
to a real PostgreSQL and compares every answer and what is in the tables in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from simulated.storage import Row, Transaction
from sluice_storage.statements import Statements

Twin = Callable[..., list[Row]]


def twins_of(statements: Statements, module: ModuleType) -> dict[str, tuple[str, Twin]]:
    """Return, by their SQL, those of `statements` that `module` has functions for."""
    return {getattr(statements, name): (name, vars(module)[name]) for name in dir(statements) if name in vars(module)}


def truth(value: Any) -> list[Row]:
    """Return one row with one column."""
    return [{"value": value}]


__all__ = ["Row", "Transaction", "Twin", "truth", "twins_of"]
