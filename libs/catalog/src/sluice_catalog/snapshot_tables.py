"""What the snapshot makes of each table: rows in, a dictionary to answer from out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import structlog

from sluice_catalog import rows
from sluice_catalog.models import (
    ApiKey,
    NovuWorkflow,
    ProviderAccount,
    TemplateReference,
    Tenant,
    WorkflowReference,
    WorkspaceSettings,
)
from sluice_catalog.streams import Stream, StreamEvent, StreamToken
from sluice_contracts.novu import object_id
from sluice_contracts.vocabulary import Category
from sluice_runtime.secrets import SealedTextError, SecretBox

Rows = Sequence[rows.Row]
_log = structlog.get_logger()


def _api_keys(found: Rows, _: SecretBox) -> dict[bytes, ApiKey]:
    return {
        bytes(row["secret_sha256"]): ApiKey(
            key_id=row["id"],
            workspace_id=row["workspace_id"],
            secret_sha256=bytes(row["secret_sha256"]),
            scopes=frozenset(row["scopes"]),
            name=row["name"],
            allowed_ips=tuple(row["allowed_ips"]),
        )
        for row in found
    }


def _workspaces(found: Rows, _: SecretBox) -> dict[UUID, WorkspaceSettings]:
    return {row["id"]: rows.workspace_settings(row) for row in found}


def _templates(found: Rows, _: SecretBox) -> dict[tuple[UUID, str], TemplateReference]:
    by_name: dict[tuple[UUID, str], TemplateReference] = {}
    for row in found:
        reference = rows.template_reference(row)
        by_name[row["workspace_id"], str(reference.template_id)] = reference
        by_name[row["workspace_id"], reference.key] = reference
    return by_name


def _workflows(found: Rows, _: SecretBox) -> dict[tuple[UUID, str], WorkflowReference]:
    by_name: dict[tuple[UUID, str], WorkflowReference] = {}
    references = [
        (row, WorkflowReference(row["id"], row["name"], row["status"], row["version"], Category(row["category"])))
        for row in found
    ]
    # A name goes before a key, and a key before an id, whatever strings people choose.
    for name_of in (lambda row: str(row["id"]), lambda row: row["key"], lambda row: row["name"]):
        by_name.update(((row["workspace_id"], name_of(row)), reference) for row, reference in references)
    return by_name


def _ids(found: Rows, _: SecretBox) -> dict[tuple[UUID, str], UUID]:
    by_name = {(row["workspace_id"], str(row["id"])): row["id"] for row in found}
    by_name.update(((row["workspace_id"], row["key"]), row["id"]) for row in found)
    return by_name


def _provider_accounts(found: Rows, secret_box: SecretBox) -> dict[UUID, ProviderAccount]:
    accounts = {}
    for row in found:
        try:
            accounts[row["id"]] = rows.provider_account(row, secret_box)
        except SealedTextError:
            _log.error("provider_account.unreadable", account_id=str(row["id"]))
    return accounts


def _streams(found: Rows, _: SecretBox) -> dict[tuple[UUID, str], Stream]:
    streams = [rows.stream(row) for row in found]
    by_name = {(stream.workspace_id, str(stream.id)): stream for stream in streams}
    by_name.update(((stream.workspace_id, stream.key), stream) for stream in streams)
    return by_name


def _stream_tokens(found: Rows, _: SecretBox) -> dict[bytes, StreamToken]:
    return {
        bytes(row["secret_sha256"]): StreamToken(
            row["id"], row["stream_id"], row["workspace_id"], bytes(row["secret_sha256"]), row["expires_at"]
        )
        for row in found
    }


def _stream_events(found: Rows, _: SecretBox) -> dict[tuple[UUID, str], StreamEvent]:
    return {
        (row["stream_id"], row["key"]): StreamEvent(row["stream_id"], row["key"], row["text"], row["template_key"])
        for row in found
    }


def _tenants(found: Rows, _: SecretBox) -> dict[tuple[UUID, str], Tenant]:
    return {(row["workspace_id"], row["key"]): Tenant(row["key"], row["name"], row["data"]) for row in found}


def _novu_workflows(found: Rows, _: SecretBox) -> dict[tuple[UUID, str], NovuWorkflow]:
    by_name: dict[tuple[UUID, str], NovuWorkflow] = {}
    references = [(row["workspace_id"], novu_workflow(row)) for row in found]
    for name_of in (lambda workflow: object_id(workflow.id), lambda workflow: workflow.identifier):
        by_name.update(((workspace_id, name_of(reference)), reference) for workspace_id, reference in references)
    return by_name


def novu_workflow(row: rows.Row) -> NovuWorkflow:
    """Return what decides about a trigger of a workflow that was defined in Novu's words."""
    return NovuWorkflow(
        id=row["id"],
        identifier=row["key"],
        workflow_id=row["workflow_id"],
        active=row["active"],
        steps=row["steps"],
        whole_payload=row["whole_payload"],
        payload_schema=row["payload_schema"],
    )


READERS: Final[dict[str, Callable[[Rows, SecretBox], dict[Any, Any]]]] = {
    "api_keys": _api_keys,
    "workspaces": _workspaces,
    "templates": _templates,
    "workflows": _workflows,
    "segments": _ids,
    "lists": _ids,
    "provider_accounts": _provider_accounts,
    "tenants": _tenants,
    "novu_workflows": _novu_workflows,
    "streams": _streams,
    "stream_tokens": _stream_tokens,
    "stream_events": _stream_events,
}
"""Every table of the snapshot. A notification's payload is one of these names."""
