"""Workflows in the words of Novu's first version, turned into those of its current one and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ingest.doors.novu.book import Entry
from ingest.doors.novu.documents import MESSAGE_TYPES, with_step_ids
from ingest.doors.novu.mail_bodies import UnreadableBody, legacy_content_of
from sluice_contracts.novu import named_object_id
from sluice_runtime.http.novu import without_nulls

GENERAL: Final = "General"
_OPERATORS: Final = {
    "EQUAL": "==", "NOT_EQUAL": "!=", "LARGER": ">", "SMALLER": "<", "LARGER_EQUAL": ">=", "SMALLER_EQUAL": "<=",
    "LIKE": "contains",
}  # fmt: skip
_UNKNOWN_RULE: Final[dict[str, Any]] = {"unsupported filter": []}
"""A rule that nothing can decide: the step then says so and is not carried out."""


def step_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step of the first version as one of the current; what was said is kept beside it."""
    template = said.get("template") or {}
    kind = str(template.get("type") or said.get("type") or "custom")
    controls: dict[str, Any] = {}
    if kind == "email":
        controls = {"subject": template.get("subject"), "body": _email(template.get("content"))}
    elif kind in MESSAGE_TYPES:
        controls = {"body": template.get("content")}
    else:
        metadata = said.get("metadata") or {}
        controls = {name: metadata.get(name) for name in ("type", "amount", "unit")}
    rule = rule_of(said.get("filters") or [])
    if rule is not None:
        controls["skip"] = rule
    return {
        "name": said.get("name") or template.get("name") or kind,
        "stepId": said.get("uuid") or said.get("stepId"),
        "type": kind,
        "active": said.get("active", True) is not False,
        "controlValues": without_nulls(controls),
        "legacy": {"template": dict(template), "filters": said.get("filters") or [], "metadata": said.get("metadata")},
    }


def steps_of(said: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps of the first version as steps of the current."""
    return with_step_ids([step_of(step) for step in said])


def rule_of(filters: Sequence[Any]) -> dict[str, Any] | None:
    """Return the JSON logic that filters of the first version stand for, None where there are none."""
    groups = [_group(entry) for entry in filters if isinstance(entry, dict) and entry.get("children")]
    if not groups:
        return None
    return groups[0] if len(groups) == 1 else {"or": groups}


def _group(entry: Mapping[str, Any]) -> dict[str, Any]:
    joint = "or" if entry.get("value") == "OR" else "and"
    return {joint: [_condition(child) for child in entry["children"]]}


def _condition(child: Any) -> dict[str, Any]:
    match child:
        case {"field": str(field), "operator": str(operator), "on": ("payload" | "subscriber") as origin}:
            variable = {"var": f"{origin}.{field}"}
            if operator == "IS_DEFINED":
                return {"!!": variable}
            if operator in _OPERATORS:
                return {_OPERATORS[operator]: [variable, child.get("value")]}
    return _UNKNOWN_RULE


def _email(content: Any) -> str | None:
    try:
        return next(iter(legacy_content_of(content).values()))
    except UnreadableBody:
        return None


def shown(entry: Entry, groups: Mapping[str, str]) -> dict[str, Any]:
    """Return a workflow as the first version shows it. `groups` are names by id."""
    document = entry.document
    workspace = document.get("workspace", "")
    group_id = document.get("notificationGroupId") or next(iter(groups))
    return {
        "_id": entry.object_id,
        "_parentId": None,
        "_organizationId": workspace,
        "_environmentId": workspace,
        "_creatorId": workspace,
        "name": document["name"],
        "description": document.get("description") or "",
        "active": bool(document.get("active")),
        "draft": False,
        "critical": bool(document.get("critical")),
        "isBlueprint": False,
        "tags": document.get("tags") or [],
        "preferenceSettings": document.get("preferenceSettings") or dict.fromkeys(MESSAGE_TYPES, True),
        "steps": [_shown_step(entry, step) for step in document["steps"]],
        "triggers": [
            {
                "_id": named_object_id(entry.id, "trigger"),
                "type": "event",
                "identifier": entry.identifier,
                "variables": [],
                "reservedVariables": [],
                "subscriberVariables": [],
            }
        ],
        "_notificationGroupId": group_id,
        "notificationGroup": {
            "_id": group_id,
            "name": groups.get(group_id, GENERAL),
            "_organizationId": workspace,
            "_environmentId": workspace,
        },
        "deleted": False,
        "createdAt": entry.created_at,
        "updatedAt": entry.updated_at,
        "__v": 0,
    }


def _shown_step(entry: Entry, step: Mapping[str, Any]) -> dict[str, Any]:
    controls = step.get("controlValues") or {}
    legacy = step.get("legacy") or {}
    template = legacy.get("template") or {"content": controls.get("body", "")}
    issues = (entry.document.get("issues") or {}).get(step["stepId"])
    template_id = named_object_id(entry.id, f"template:{step['stepId']}")
    subject = without_nulls({"subject": controls.get("subject")})
    return {
        "_id": named_object_id(entry.id, f"step:{step['stepId']}"),
        "uuid": step["stepId"],
        "name": step["name"],
        "active": step.get("active", True) is not False and issues is None,
        "shouldStopOnFail": False,
        "filters": legacy.get("filters") or [],
        "metadata": legacy.get("metadata") or {},
        "_templateId": template_id,
        "template": {**subject, **template, "_id": template_id, "type": step["type"]},
        **({"issues": issues} if issues else {}),
    }
