"""Segments: a name for everyone whom a condition matches, decided anew whenever it is sent to."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, field_validator

from sluice_catalog.conditions import CONTACT_ONLY, MAX_SOURCE_LENGTH, ConditionProblem, compile_condition
from sluice_catalog.definitions.shelf import Shelf, Stored
from sluice_catalog.definitions.words import Definition, Name, NameAsKey
from sluice_catalog.rows import Row
from sluice_storage.database import Connection


class Segment(Definition):
    """A condition over `contact`, in CEL."""

    key: NameAsKey | None = None
    name: Name
    filter: Annotated[
        str, Field(max_length=MAX_SOURCE_LENGTH, examples=["contact.attributes.plan == 'pro' && 'vip' in contact.tags"])
    ]

    @field_validator("filter")
    @classmethod
    def _compiles(cls, source: str) -> str:
        return checked_condition(source, CONTACT_ONLY)


def checked_condition(source: str, names: tuple[str, ...]) -> str:
    """Return `source`. Raises ValueError with a sentence when it is no condition."""
    try:
        compile_condition(source, names)
    except ConditionProblem as problem:
        raise ValueError(f"is not a usable condition: {problem}") from problem
    return source


class Segments(Shelf[Segment]):
    """The segments of all workspaces."""

    table = "segments"
    noun = "segment"

    def _read(self, row: Row) -> tuple[Segment, dict[str, Any]]:
        return Segment.model_construct(key=row["key"], name=row["name"], filter=row["filter"]), {}

    async def _columns(
        self, connection: Connection, workspace_id: UUID, content: Segment, current: Stored[Segment] | None
    ) -> tuple[Any, ...]:
        return content.key or content.name, content.name, content.filter
