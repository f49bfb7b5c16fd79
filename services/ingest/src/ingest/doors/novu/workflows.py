"""`/v2/workflows`: workflows as Novu's current API has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from ingest.domain.values import Name, Values
from ingest.doors.novu.answering import operation
from ingest.doors.novu.bodies import Said
from ingest.doors.novu.book import Entry, WorkflowBook
from ingest.doors.novu.documents import MESSAGE_TYPES, slug, with_step_ids
from ingest.doors.novu.payloads import UnusableSchema, check_schema
from sluice_catalog.definitions.problems import NotThere
from sluice_contracts.novu import named_object_id
from sluice_runtime.http.novu import empty, enveloped, refused, without_nulls
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import invalid

MOST_STEPS: Final = 20
_BODY_LIMIT: Final = 4 * 1024 * 1024
_ORIGIN: Final = "novu-cloud"
_SETTINGS: Final = (
    "name", "description", "tags", "active", "validatePayload", "payloadSchema", "preferences", "severity",
)  # fmt: skip

StepType = Literal[
    "in_app", "email", "sms", "chat", "push", "tool", "digest", "delay", "throttle", "http_request", "custom"
]


class StepBody(Said):
    """One step."""

    name: Name
    type: StepType
    step_id: str | None = None
    control_values: Values | None = None


class WorkflowSettings(Said):
    """What a workflow has beside its name and steps."""

    description: str | None = None
    tags: list[str] | None = None
    active: bool | None = None
    validate_payload: bool | None = None
    payload_schema: dict[str, Any] | None = None
    preferences: dict[str, Any] | None = None
    severity: Literal["high", "medium", "low", "none"] | None = None


class NewWorkflowBody(WorkflowSettings):
    """A workflow by the caller's own identifier."""

    name: Name
    workflow_id: Name
    steps: Annotated[list[StepBody], Field(max_length=MOST_STEPS)]


class WorkflowUpdateBody(WorkflowSettings):
    """A workflow in the place of the one that is there."""

    name: Name
    steps: Annotated[list[StepBody], Field(max_length=MOST_STEPS)]


class WorkflowPatchBody(WorkflowSettings):
    """Some of a workflow's settings."""

    name: Name | None = None


class WorkflowQuery(BaseModel):
    """Which workflows to list."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    offset: Annotated[int, Field(ge=0)] = 0
    query: str | None = None
    tags: list[str] | None = None
    status: list[str] | None = None
    orderBy: str = "createdAt"  # noqa: N815 - it is the name on the wire
    orderDirection: str = "DESC"  # noqa: N815 - it is the name on the wire


class CurrentWorkflows:
    """The handlers."""

    def __init__(self, book: WorkflowBook) -> None:
        self._book = book

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        path = "/v2/workflows"
        item = f"{path}/{{workflowId}}"
        return [
            operation("POST", path, "create_workflow", "Create a workflow", self._create, statuses=(201,),
                      body=NewWorkflowBody, body_limit=_BODY_LIMIT),
            operation("GET", path, "list_workflows", "List workflows", self._list, query=WorkflowQuery),
            operation("GET", item, "get_workflow", "Get a workflow", self._get),
            operation("PUT", item, "update_workflow", "Replace a workflow", self._update, body=WorkflowUpdateBody,
                      body_limit=_BODY_LIMIT),
            operation("PATCH", item, "patch_workflow", "Change a workflow's settings", self._patch,
                      body=WorkflowPatchBody),
            operation("DELETE", item, "delete_workflow", "Delete a workflow", self._delete, statuses=(204,)),
            operation("GET", f"{item}/steps/{{stepId}}", "get_workflow_step", "Get one step", self._step),
        ]  # fmt: skip

    async def _create(self, call: Call) -> web.Response:
        body: NewWorkflowBody = call.body
        document = _settings(body) | {"name": body.name, "steps": _steps(body.steps)}
        document.setdefault("active", True)
        return enveloped(shown(await self._book.create(_workspace(call), body.workflow_id, _whole(document))), 201)

    async def _list(self, call: Call) -> web.Response:
        query: WorkflowQuery = call.query
        found = [entry for entry in await self._book.all(_workspace(call)) if _is_wanted(entry, query)]
        key = {"name": lambda entry: entry.document["name"], "updatedAt": lambda entry: entry.updated_at}.get(
            query.orderBy, lambda entry: entry.id
        )
        found.sort(key=key, reverse=query.orderDirection.upper() != "ASC")
        page = found[query.offset : query.offset + query.limit]
        return enveloped({"workflows": [listed(entry) for entry in page], "totalCount": len(found)})

    async def _get(self, call: Call) -> web.Response:
        return enveloped(shown(await self._found(call)))

    async def _update(self, call: Call) -> web.Response:
        body: WorkflowUpdateBody = call.body
        entry = await self._found(call)
        document = _settings(body) | {"name": body.name, "steps": _steps(body.steps)}
        document.setdefault("active", entry.document.get("active", True))
        return enveloped(shown(await self._book.change(_workspace(call), entry, _whole(document))))

    async def _patch(self, call: Call) -> web.Response:
        body: WorkflowPatchBody = call.body
        entry = await self._found(call)
        name = {} if body.name is None else {"name": body.name}
        document = {**entry.document, **_settings(body), **name}
        return enveloped(shown(await self._book.change(_workspace(call), entry, _whole(document))))

    async def _delete(self, call: Call) -> web.Response:
        await self._book.delete(_workspace(call), await self._found(call))
        return empty()

    async def _step(self, call: Call) -> web.Response:
        entry = await self._found(call)
        wanted = call.request.match_info["stepId"]
        for step in shown(entry)["steps"]:
            if wanted in {step["stepId"], step["_id"], step["slug"]}:
                return enveloped(step)
        raise refused("Step not found", 404)

    async def _found(self, call: Call) -> Entry:
        reference = call.request.match_info["workflowId"]
        try:
            return await self._book.find(_workspace(call), reference)
        except NotThere as problem:
            raise refused("Workflow cannot be found", 404) from problem


def _workspace(call: Call) -> UUID:
    return call.principal.workspace_id


def _settings(body: WorkflowSettings) -> dict[str, Any]:
    said = body.model_dump(mode="json", by_alias=True, exclude_unset=True, include=set(WorkflowSettings.model_fields))
    return {name: value for name, value in said.items() if value is not None or name == "payloadSchema"}


def _steps(steps: list[StepBody]) -> list[dict[str, Any]]:
    given = [
        without_nulls(
            {"name": step.name, "type": step.type, "stepId": step.step_id, "controlValues": step.control_values}
        )
        for step in steps
    ]
    return with_step_ids(given)


def _whole(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document with what follows from its settings. Raises Problem 422 for a schema that cannot be used."""
    schema = document.get("payloadSchema")
    if schema is not None:
        try:
            check_schema(schema)
        except UnusableSchema as problem:
            raise invalid([{"field": "payloadSchema", "message": str(problem)}]) from problem
    preferences = document.get("preferences")
    return document | {
        "critical": _is_read_only(preferences) if preferences is not None else bool(document.get("critical"))
    }


def _is_read_only(preferences: Any) -> bool:
    for origin in ("user", "workflow"):
        chosen = preferences.get(origin) if isinstance(preferences, dict) else None
        everything = chosen.get("all") if isinstance(chosen, dict) else None
        if isinstance(everything, dict) and "readOnly" in everything:
            return everything["readOnly"] is True
    return False


def _is_wanted(entry: Entry, query: WorkflowQuery) -> bool:
    text = (query.query or "").lower()
    if text and text not in entry.identifier.lower() and text not in str(entry.document["name"]).lower():
        return False
    if query.tags and not set(query.tags) & set(entry.document.get("tags") or []):
        return False
    return not query.status or status_of(entry) in query.status


def status_of(entry: Entry) -> str:
    """Return Novu's status: active, or not, or with steps that are not carried out."""
    if not entry.document.get("active"):
        return "INACTIVE"
    return "ERROR" if entry.document.get("issues") else "ACTIVE"


def listed(entry: Entry) -> dict[str, Any]:
    """Return a workflow as lists show it."""
    whole = shown(entry)
    names = ("name", "_id", "workflowId", "slug", "createdAt", "updatedAt", "status", "origin", "tags")
    return {
        **{name: whole[name] for name in names},
        "stepTypeOverviews": entry.types,
        "steps": [
            without_nulls({name: step.get(name) for name in ("slug", "type", "issues")}) for step in whole["steps"]
        ],
    }


def shown(entry: Entry) -> dict[str, Any]:
    """Return a workflow whole."""
    document = entry.document
    return {
        "_id": entry.object_id,
        "workflowId": entry.identifier,
        "slug": entry.slug,
        "name": document["name"],
        **without_nulls({name: document.get(name) for name in ("description", "payloadSchema")}),
        "tags": document.get("tags") or [],
        "active": bool(document.get("active")),
        "validatePayload": bool(document.get("validatePayload")),
        "steps": [_shown_step(entry, step) for step in document["steps"]],
        "origin": _ORIGIN,
        "preferences": _preferences(document),
        "status": status_of(entry),
        "severity": document.get("severity") or "none",
        "createdAt": entry.created_at,
        "updatedAt": entry.updated_at,
    }


def _preferences(document: Mapping[str, Any]) -> dict[str, Any]:
    said = document.get("preferences")
    user = said.get("user") if isinstance(said, dict) else None
    everything = {"enabled": True, "readOnly": bool(document.get("critical"))}
    default = {"all": everything, "channels": {kind: {"enabled": True} for kind in MESSAGE_TYPES}}
    return {"default": default} if user is None else {"default": default, "user": user}


def _shown_step(entry: Entry, step: Mapping[str, Any]) -> dict[str, Any]:
    values = step.get("controlValues") or {}
    # Both SDKs insist on a subject where a step is an email.
    shown_values = {"subject": "", **values} if step["type"] == "email" else dict(values)
    step_id = named_object_id(entry.id, f"step:{step['stepId']}")
    issues = (entry.document.get("issues") or {}).get(step["stepId"])
    return {
        "_id": step_id,
        "stepId": step["stepId"],
        "name": step["name"],
        "slug": f"{slug(step['name'])}_st_{step_id}",
        "type": step["type"],
        "origin": _ORIGIN,
        "workflowId": entry.identifier,
        "workflowDatabaseId": entry.object_id,
        "controls": {"values": shown_values},
        "controlValues": shown_values,
        "variables": {},
        **({"issues": issues} if issues else {}),
    }
