"""The workspace's settings, its API keys, and the addresses that it may not message."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, create_model

from ingest.definitions.answers import (
    BASE,
    PageQuery,
    Pagination,
    entity_tag,
    expected_revision,
    page_response,
    plainly,
    validated,
)
from ingest.definitions.resource import Record, merge_plainly, renew
from sluice_catalog.addresses import normalise_email, normalise_phone
from sluice_catalog.api_keys import ADMIN, DEFINITIONS_WRITE
from sluice_catalog.definitions.problems import NotThere
from sluice_catalog.definitions.shelf import as_id
from sluice_catalog.definitions.suppressions import NewSuppression, StoredSuppression, Suppressions
from sluice_catalog.definitions.workspace import NewApiKey, Settings, StoredApiKey, StoredSettings, Workspaces
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.vocabulary import Channel, SuppressionReason
from sluice_runtime.http.bodies import json_response
from sluice_runtime.http.operations import Call, Operation

_WORKSPACE: Final = "Workspace"
_SUPPRESSIONS: Final = "Suppressions"


class SettingsAnswer(Settings, Record):
    """A workspace with its settings."""

    model_config = ConfigDict(extra="ignore")
    name: str


SettingsChange: type[BaseModel] = create_model(
    "SettingsChange",
    __config__=ConfigDict(extra="forbid"),
    **dict.fromkeys(Settings.model_fields, (Any, None)),  # type: ignore[call-overload]
)


class ApiKeyAnswer(BaseModel):
    """A key without its secret; `hint` is how that begins and ends."""

    id: UUID
    name: str
    hint: str
    scopes: list[str]
    allowed_ips: list[str]
    created_at: datetime
    revoked_at: datetime | None


class NewApiKeyAnswer(ApiKeyAnswer):
    """A new key with its secret, which is shown this once."""

    secret: str


class ApiKeyPage(BaseModel):
    """Some keys."""

    data: list[ApiKeyAnswer]
    pagination: Pagination


class SuppressionQuery(PageQuery):
    """Which suppressions are wanted."""

    channel: Channel | None = None
    reason: SuppressionReason | None = None
    address: str | None = None


class SuppressionAnswer(BaseModel):
    """An address that may not be messaged on a channel."""

    id: UUID
    channel: Channel
    address: str
    reason: SuppressionReason
    detail: str | None
    created_at: datetime


class SuppressionPage(BaseModel):
    """Some suppressions."""

    data: list[SuppressionAnswer]
    pagination: Pagination


def workspace_operations(workspaces: Workspaces, snapshot: CatalogSnapshot) -> list[Operation]:
    """Return the operations on the settings and the keys of the caller's workspace."""
    doors = _WorkspaceDoors(workspaces, snapshot)
    settings, keys = f"{BASE}/workspace", f"{BASE}/api-keys"
    return [
        Operation(
            "GET", settings, "get_workspace", "Get the workspace's settings", _WORKSPACE, plainly(doors.settings),
            DEFINITIONS_WRITE, answers={200: SettingsAnswer},
        ),
        Operation(
            "PATCH", settings, "change_workspace", "Change the workspace's settings", _WORKSPACE, plainly(doors.change),
            DEFINITIONS_WRITE, body=SettingsChange, answers={200: SettingsAnswer},
        ),
        Operation(
            "POST", keys, "create_api_key", "Make an API key", _WORKSPACE, plainly(doors.add_key), ADMIN,
            body=NewApiKey, answers={201: NewApiKeyAnswer},
        ),
        Operation(
            "GET", keys, "list_api_keys", "List API keys", _WORKSPACE, plainly(doors.keys), ADMIN,
            query=PageQuery, answers={200: ApiKeyPage},
        ),
        Operation(
            "DELETE", f"{keys}/{{reference}}", "revoke_api_key", "Revoke an API key at once", _WORKSPACE,
            plainly(doors.revoke), ADMIN, answers={204: None},
        ),
    ]  # fmt: skip


def suppression_operations(suppressions: Suppressions, snapshot: CatalogSnapshot) -> list[Operation]:
    """Return the operations on suppressions."""
    doors = _SuppressionDoors(suppressions, snapshot)
    path = f"{BASE}/suppressions"
    return [
        Operation(
            "POST", path, "add_suppression", "Suppress an address", _SUPPRESSIONS, plainly(doors.add),
            DEFINITIONS_WRITE, body=NewSuppression, answers={201: SuppressionAnswer, 200: SuppressionAnswer},
        ),
        Operation(
            "GET", path, "list_suppressions", "List suppressed addresses", _SUPPRESSIONS, plainly(doors.list),
            DEFINITIONS_WRITE, query=SuppressionQuery, answers={200: SuppressionPage},
        ),
        Operation(
            "DELETE", f"{path}/{{reference}}", "delete_suppression", "Let an address be messaged again", _SUPPRESSIONS,
            plainly(doors.delete), DEFINITIONS_WRITE, answers={204: None},
        ),
    ]  # fmt: skip


class _WorkspaceDoors:
    def __init__(self, workspaces: Workspaces, snapshot: CatalogSnapshot) -> None:
        self._workspaces = workspaces
        self._snapshot = snapshot

    async def settings(self, call: Call) -> web.Response:
        return _settings(await self._workspaces.settings(call.principal.workspace_id))

    async def change(self, call: Call) -> web.Response:
        given = orjson.loads(call.raw or b"{}")
        stored = await self._workspaces.change(
            call.principal.workspace_id,
            expected_revision(call.request),
            lambda settings: validated(Settings, merge_plainly(settings, given)),
        )
        await renew(self._snapshot, "workspaces")
        return _settings(stored)

    async def add_key(self, call: Call) -> web.Response:
        key, secret = await self._workspaces.add_key(call.principal.workspace_id, call.body)
        await renew(self._snapshot, "api_keys")
        return json_response(_key(key) | {"secret": secret.secret}, 201, {"Cache-Control": "no-store"})

    async def keys(self, call: Call) -> web.Response:
        limit = call.query.limit
        found = await self._workspaces.keys(call.principal.workspace_id, call.query.cursor, limit + 1)
        return page_response(found, limit, _key, lambda key: key.id)

    async def revoke(self, call: Call) -> web.Response:
        await self._workspaces.revoke(call.principal.workspace_id, _id(call, "API key"))
        await renew(self._snapshot, "api_keys")
        return web.Response(status=204)


class _SuppressionDoors:
    def __init__(self, suppressions: Suppressions, snapshot: CatalogSnapshot) -> None:
        self._suppressions = suppressions
        self._snapshot = snapshot

    async def add(self, call: Call) -> web.Response:
        workspace_id = call.principal.workspace_id
        stored, created = await self._suppressions.add(workspace_id, call.body, self._default_country(workspace_id))
        return json_response(_suppression(stored), 201 if created else 200)

    async def list(self, call: Call) -> web.Response:
        query, workspace_id = call.query, call.principal.workspace_id
        address = query.address
        if address is not None:
            phone = normalise_phone(address, self._default_country(workspace_id))
            address = phone.e164 if phone else normalise_email(address) or address
        found = await self._suppressions.page(
            workspace_id, query.cursor, query.limit + 1, channel=query.channel, reason=query.reason, address=address
        )
        return page_response(found, query.limit, _suppression, lambda suppression: suppression.id)

    async def delete(self, call: Call) -> web.Response:
        await self._suppressions.delete(call.principal.workspace_id, _id(call, "suppression"))
        return web.Response(status=204)

    def _default_country(self, workspace_id: UUID) -> str | None:
        settings = self._snapshot.workspace(workspace_id)
        return settings.default_country if settings else None


def _id(call: Call, noun: str) -> UUID:
    found = as_id(call.request.match_info["reference"])
    if found is None:
        raise NotThere(noun)
    return found


def _settings(stored: StoredSettings) -> web.Response:
    shown = (
        {"id": stored.id, "name": stored.name}
        | stored.content.model_dump(mode="json")
        | {"revision": stored.revision, "created_at": stored.created_at, "updated_at": stored.updated_at}
    )
    return json_response(shown, headers=entity_tag(stored.revision))


def _key(key: StoredApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes,
        "allowed_ips": key.allowed_ips,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def _suppression(suppression: StoredSuppression) -> dict[str, Any]:
    return {
        "id": suppression.id,
        "channel": suppression.channel,
        "address": suppression.address,
        "reason": suppression.reason,
        "detail": suppression.detail,
        "created_at": suppression.created_at,
    }
