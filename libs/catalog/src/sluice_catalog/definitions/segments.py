"""Segments: a name for everyone whom a condition matches, decided anew whenever it is sent to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, field_validator

from sluice_catalog.conditions import (
    CONTACT_ONLY,
    MAX_SOURCE_LENGTH,
    ConditionError,
    ConditionProblem,
    compile_condition,
)
from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.shelf import Shelf, Stored
from sluice_catalog.definitions.words import Definition, Name, NameAsKey
from sluice_catalog.expressions import SAMPLE
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


def require_moderate(conditions: Mapping[str, str | None], names: tuple[str, ...]) -> None:
    """Return if each of `conditions`, by field, can be decided for what little the library's sample holds.

    Raises InvalidDefinition for those that are too much work whatever they are about.
    """
    faults = []
    for field, source in conditions.items():
        if source is None:
            continue
        decision = compile_condition(source, names).evaluate(**{name: SAMPLE[name] for name in names})
        if isinstance(decision, ConditionError) and decision.is_excess:
            faults.append(Fault(field, f"is not a usable condition: {decision.reason}"))
    if faults:
        raise InvalidDefinition(faults)


class Segments(Shelf[Segment]):
    """The segments of all workspaces."""

    table = "segments"
    noun = "segment"

    def _read(self, row: Row) -> tuple[Segment, dict[str, Any]]:
        return Segment.model_construct(key=row["key"], name=row["name"], filter=row["filter"]), {}

    async def _columns(
        self, connection: Connection, workspace_id: UUID, content: Segment, current: Stored[Segment] | None
    ) -> tuple[Any, ...]:
        require_moderate({"filter": content.filter}, CONTACT_ONLY)
        return content.key or content.name, content.name, content.filter
