"""SQL from `.sql` files: `-- name: due_timers` begins a statement, which `statements.due_timers` then is."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_NAME: Final = re.compile(r"^--\s*name:\s*(\S+)\s*$", re.MULTILINE)


class Statements:
    """Statements by name, as attributes. An unknown name raises AttributeError."""

    def __init__(self, statements: dict[str, str]) -> None:
        vars(self).update(statements)

    def __getattr__(self, name: str) -> str:
        raise AttributeError(f"there is no statement named {name!r}")

    def __dir__(self) -> list[str]:
        return sorted(vars(self))


def load(package: str, name: str = "queries.sql") -> Statements:
    """Read the statements of the file `name` in `package`, or in its folder `sql`.

    Raises FileNotFoundError, or ValueError when a name stands there twice, is no identifier or has no statement.
    """
    return parse(sql_folder(package, name).joinpath(name).read_text(encoding="utf-8"), source=f"{package}/{name}")


def parse(text: str, *, source: str = "statements") -> Statements:
    """Read statements out of `text`; `source` names it in errors.

    Raises ValueError when a name stands there twice, is no identifier or has no statement, or when SQL has no name.
    """
    before, *parts = _NAME.split(text)
    if _without_comments(before):
        raise ValueError(f"{source}: SQL before the first `-- name:`")
    statements: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if not name.isidentifier() or name.startswith("_"):
            raise ValueError(f"{source}: {name!r} cannot be a statement's name")
        if name in statements:
            raise ValueError(f"{source}: {name} stands there twice")
        if not _without_comments(body):
            raise ValueError(f"{source}: {name} has no statement")
        statements[name] = body.strip()
    return Statements(statements)


def sql_folder(package: str, name: str) -> Traversable:
    """Return the folder that holds `name`: the package itself, or its folder `sql`.

    Raises FileNotFoundError when neither does.
    """
    root = files(package)
    for folder in (root.joinpath("sql"), root):
        entry = folder.joinpath(name)
        if entry.is_file() or entry.is_dir():
            return folder
    raise FileNotFoundError(f"there is no {name} in {package} or its folder sql")


def _without_comments(sql: str) -> str:
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--")).strip()
