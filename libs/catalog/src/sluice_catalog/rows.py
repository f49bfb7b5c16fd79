"""How rows of the catalog's tables become the values of `models`, and the parts of a definition its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from sluice_catalog.models import (
    Budget,
    Contact,
    FrequencyCap,
    ProviderAccount,
    TemplateReference,
    TemplateVariant,
    TemplateVersion,
    WaitStep,
    WorkflowStep,
    WorkflowVersion,
    WorkspaceSettings,
)
from sluice_catalog.streams import OTP_SECONDS, Stream, StreamType, bucket
from sluice_contracts.messages.content import SendWindow
from sluice_contracts.vocabulary import Category, Channel, WorkflowType
from sluice_runtime.secrets import SecretBox

WAIT_FOR_EVENT: Final = "wait_for_event"
"""The type of a step that sends nothing."""


class Row(Protocol):
    """A database row, or anything else with values by name."""

    def __getitem__(self, name: str, /) -> Any: ...


def contact(row: Row) -> Contact:
    """Read a contact from its whole row."""
    return Contact(
        row["id"],
        row["workspace_id"],
        row["external_id"],
        row["status"],
        row["email"],
        row["phone_number"],
        row["country"],
        row["locale"],
        row["timezone"],
        row["name"],
        row["first_name"],
        row["last_name"],
        tuple(row["tags"]),
        row["attributes"],
        row["opt_outs"],
    )


def variant(value: Row) -> TemplateVariant:
    """Read a variant from the JSON that `variant_json` made."""
    return TemplateVariant(
        country=value["country"], locale=value["locale"], approval=value["approval"], content=dict(value["content"])
    )


def variant_json(value: TemplateVariant) -> dict[str, Any]:
    """Return the JSON of a variant."""
    return {"country": value.country, "locale": value.locale, "approval": value.approval, "content": value.content}


def template_version(row: Row) -> TemplateVersion:
    """Read a template's version from its joined row."""
    return TemplateVersion(
        template_id=row["template_id"],
        workspace_id=row["workspace_id"],
        version=row["version"],
        key=row["key"],
        name=row["name"],
        channel=Channel(row["channel"]),
        category=Category(row["category"]),
        variants=tuple(variant(value) for value in row["variants"]),
        references=frozenset(row["variables"]),
    )


def template_reference(row: Row) -> TemplateReference:
    """Read which version of a template is the newest."""
    return TemplateReference(
        template_id=row["template_id"],
        version=row["version"],
        key=row["key"],
        channel=Channel(row["channel"]),
        category=Category(row["category"]),
    )


def _window(value: Any) -> SendWindow | None:
    return None if value is None else SendWindow.model_validate(value)


def workflow_step(value: Mapping[str, Any]) -> WorkflowStep | WaitStep:
    """Read a step from a workflow's JSON."""
    if value.get("type") == WAIT_FOR_EVENT:
        correlation = value.get("correlation") or {}
        return WaitStep(
            step_id=value["step_id"],
            step_name=value["step_name"],
            event=value["event"],
            timeout_minutes=value["timeout_minutes"],
            delay_minutes=value["delay_minutes"],
            variable=correlation.get("variable"),
            path=correlation.get("path"),
        )
    return WorkflowStep(
        step_id=value["step_id"],
        step_name=value["step_name"],
        channel=Channel(value["channel"]),
        template_key=value["template_key"],
        delay_minutes=value["delay_minutes"],
        condition=value.get("condition"),
        send_window=_window(value.get("send_window")),
    )


def workflow_version(row: Row) -> WorkflowVersion:
    """Read a workflow's version from its joined row."""
    definition = row["definition"]
    group_id = definition.get("template_group_id")
    return WorkflowVersion(
        workflow_id=row["workflow_id"],
        workspace_id=row["workspace_id"],
        version=row["version"],
        name=row["name"],
        type=WorkflowType(row["type"]),
        category=Category(row["category"]),
        steps=tuple(workflow_step(value) for value in definition.get("steps") or ()),
        template_group_id=None if group_id is None else UUID(group_id),
        templates=tuple((Channel(channel), key) for channel, key in (definition.get("templates") or {}).items()),
        send_window=_window(definition.get("send_window")),
    )


def workspace_settings(row: Row) -> WorkspaceSettings:
    """Read a workspace's settings from its row."""
    budget = row["budget"]
    return WorkspaceSettings(
        workspace_id=row["id"],
        name=row["name"],
        timezone=row["timezone"],
        default_country=row["default_country"],
        send_window=_window(row["send_window"]),
        frequency_caps=tuple(
            FrequencyCap(cap["limit"], cap["hours"], Channel(cap["channel"]) if cap.get("channel") else None)
            for cap in row["frequency_caps"]
        ),
        budget=None if budget is None else Budget(budget["amount_micros"], budget["period"]),
    )


def provider_account(row: Row, secret_box: SecretBox) -> ProviderAccount:
    """Read a provider account and decrypt its secrets."""
    return ProviderAccount(
        id=row["id"],
        workspace_id=row["workspace_id"],
        channel=Channel(row["channel"]),
        provider=row["provider"],
        name=row["name"],
        config=row["config"],
        secrets={name: secret_box.decrypt(text) for name, text in row["secrets"].items()},
        rate_per_second=row["rate_per_second"],
        is_default=row["is_default"],
        updated_at=row["updated_at"],
    )


def stream(row: Row) -> Stream:
    """Read a stream from its row."""
    settings = row["settings"]
    kind = StreamType(row["type"])
    account_id, limits = settings["provider_account_id"], settings["limits"]
    seconds = settings["expires_after_seconds"] or (OTP_SECONDS if kind is StreamType.OTP else None)
    return Stream(
        id=row["id"],
        workspace_id=row["workspace_id"],
        key=row["key"],
        name=row["name"],
        type=kind,
        status=row["status"],
        category=Category(settings["category"]) if settings["category"] else kind.category,
        workflow_id=row["workflow_id"],
        template_key=row["template_key"],
        provider_account_id=None if account_id is None else UUID(account_id),
        sender=settings["sender"],
        sandbox=settings["sandbox"],
        allowed_ips=tuple(row["allowed_ips"]),
        rate=bucket(limits["per_second"], limits["burst"]),
        per_day=limits["per_day"],
        expires_after=None if seconds is None else timedelta(seconds=seconds),
    )
