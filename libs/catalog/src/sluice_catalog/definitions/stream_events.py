"""What a stream says when a request names an event key: a text of its own, or a template."""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.shelf import Shelf, Stored
from sluice_catalog.definitions.streams import stream_queries
from sluice_catalog.definitions.words import Definition, Key, Name, fault
from sluice_catalog.rows import Row
from sluice_catalog.templating import TemplateLimitExceeded, TemplateSyntaxProblem, parse
from sluice_storage.database import Connection


class StreamEventDefinition(Definition):
    """A message by its event key. Variables of the request stand in `{{ }}`."""

    key: Key
    name: Name | None = None
    text: Annotated[str, Field(min_length=1, max_length=65_536)] | None = None
    template_key: Annotated[str, Field(min_length=1, max_length=100)] | None = None

    @field_validator("text")
    @classmethod
    def _is_liquid(cls, source: str | None) -> str | None:
        if source is None:
            return None
        try:
            parse(source, escape_html=False)
        except (TemplateSyntaxProblem, TemplateLimitExceeded) as problem:
            raise ValueError(str(problem)) from problem
        return source

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.text is None) is (self.template_key is None):
            raise fault(("text",), "either text or template_key is needed")
        return self

    def references(self) -> frozenset[str]:
        """Return the root paths of the variables in its own text."""
        return frozenset() if self.text is None else parse(self.text, escape_html=False).references


class StreamEvents(Shelf[StreamEventDefinition]):
    """The messages of all streams. Where a shelf asks for a workspace, this one asks for the stream's id."""

    table = "stream_events"
    noun = "stream event"

    def _statement(self, verb: str) -> str:
        statement: str = getattr(stream_queries, f"{verb}_stream_event")
        return statement

    def _read(self, row: Row) -> tuple[StreamEventDefinition, dict[str, Any]]:
        return StreamEventDefinition.model_construct(
            key=row["key"], name=row["name"], text=row["text"], template_key=row["template_key"]
        ), {}

    async def _columns(
        self,
        connection: Connection,
        workspace_id: UUID,
        content: StreamEventDefinition,
        current: Stored[StreamEventDefinition] | None,
    ) -> tuple[Any, ...]:
        key = content.template_key
        if key is not None and not await connection.fetchval(
            stream_queries.template_of_stream_event, workspace_id, key
        ):
            raise InvalidDefinition([Fault("template_key", f"there is no template {key!r}")])
        return content.key, content.name or content.key, content.text, key
