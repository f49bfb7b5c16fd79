"""Template groups: one message in several channels' words."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.shelf import Shelf, Stored, queries
from sluice_catalog.definitions.words import Definition, Key, Name
from sluice_catalog.rows import Row
from sluice_contracts.vocabulary import Category, Channel
from sluice_storage.database import Connection


class TemplateGroup(Definition):
    """Which template stands for the message on each channel."""

    key: Key
    name: Name
    templates: dict[Channel, str] = Field(examples=[{"email": "otp_email", "sms": "otp_us"}])

    @model_validator(mode="after")
    def _has_a_channel(self) -> Self:
        if not self.templates:
            raise ValueError("a group needs a template on one channel at least")
        return self


class TemplateGroups(Shelf[TemplateGroup]):
    """The template groups of all workspaces. Active workflows of a group that changes are published anew."""

    table = "template_groups"
    affects = ("workflows",)
    noun = "template group"

    def _read(self, row: Row) -> tuple[TemplateGroup, dict[str, Any]]:
        templates = {Channel(channel): key for channel, key in row["templates"].items()}
        return TemplateGroup.model_construct(key=row["key"], name=row["name"], templates=templates), {}

    async def _columns(
        self,
        connection: Connection,
        workspace_id: UUID,
        content: TemplateGroup,
        current: Stored[TemplateGroup] | None,
    ) -> tuple[Any, ...]:
        wanted = [(f"templates.{channel}", key, channel) for channel, key in content.templates.items()]
        await template_categories(connection, workspace_id, wanted)
        return content.key, content.name, ordered(content.templates)

    async def _settle(
        self, connection: Connection, stored: Stored[TemplateGroup], now: datetime
    ) -> Stored[TemplateGroup]:
        templates = stored.content.templates
        for row in await connection.fetch(queries.workflows_of_group, stored.workspace_id, str(stored.id)):
            definition = row["definition"] | {"templates": ordered(templates)}
            await connection.execute(queries.publish_workflow, row["id"], definition, now, row["category"])
            await connection.execute("SELECT pg_notify('catalog_changed', 'workflows')")
        return await super()._settle(connection, stored, now)


def ordered(templates: dict[Channel, str]) -> dict[str, str]:
    """Return a group's templates in the order of channels, as JSON."""
    return {channel: templates[channel] for channel in Channel if channel in templates}


async def template_categories(
    connection: Connection, workspace_id: UUID, wanted: list[tuple[str, str, Channel]]
) -> list[Category]:
    """Return the categories of the templates that `wanted` names as (field, key, channel).

    Raises InvalidDefinition for those that are not there or belong to another channel.
    """
    found = {
        row["key"]: row
        for row in await connection.fetch(queries.channels_of_templates, workspace_id, [key for _, key, _ in wanted])
    }
    faults = []
    for field, key, channel in wanted:
        if key not in found:
            faults.append(Fault(field, f"there is no template {key}"))
        elif found[key]["channel"] != channel:
            faults.append(Fault(field, f"the template {key} is for {found[key]['channel']}, not for {channel}"))
    if faults:
        raise InvalidDefinition(faults)
    return [Category(row["category"]) for row in found.values()]
