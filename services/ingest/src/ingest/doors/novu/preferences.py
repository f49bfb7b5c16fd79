"""What subscribers want to get, by channel, of every workflow or of one.

"Nothing on this channel" is a contact's own opt-out. What our opt-outs cannot say (one workflow's channel, a channel
that we do not have) is an entry among the contact's muted ones, which workflows of this door ask about at every step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from ingest.doors.novu.answering import operation
from ingest.doors.novu.bodies import (
    ChannelChoice,
    LegacyGlobalPreferencesBody,
    LegacyPreferenceBody,
    PreferencesBulkBody,
    SubscriberPreferencesBody,
)
from ingest.doors.novu.book import Entry, WorkflowBook
from ingest.doors.novu.documents import MESSAGE_TYPES, is_critical, muted_entry
from ingest.doors.novu.people import MUTED
from sluice_catalog.definitions.contact import EVERYTHING
from sluice_catalog.definitions.contacts import Contacts
from sluice_catalog.definitions.problems import NotThere
from sluice_catalog.models import Contact
from sluice_contracts.novu import CHANNELS
from sluice_runtime.http.novu import enveloped, refused
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import invalid

EVERY_WORKFLOW: Final = "*"
NON_CRITICAL: Final = "nonCritical"
_MOST_MUTED: Final = 1000


def global_channels(contact: Contact) -> dict[str, bool]:
    """Return which channels a contact wants at all."""
    muted = _muted(contact)
    return {
        kind: muted_entry(EVERY_WORKFLOW, kind) not in muted
        and (kind not in CHANNELS or EVERYTHING not in contact.opt_outs.get(CHANNELS[kind], ()))
        for kind in MESSAGE_TYPES
    }


def workflow_channels(contact: Contact, entry: Entry) -> dict[str, bool]:
    """Return which of a workflow's channels a contact gets; of a critical one, all."""
    wanted = global_channels(contact)
    muted = _muted(contact)
    kinds = [kind for kind in MESSAGE_TYPES if kind in entry.types]
    return {
        kind: is_critical(entry.document) or (wanted[kind] and muted_entry(entry.identifier, kind) not in muted)
        for kind in kinds
    }


def with_choices(contact: Contact, choices: Mapping[str, bool], workflow: str = EVERY_WORKFLOW) -> Contact:
    """Return a contact with these choices by channel type, for one workflow or for all."""
    opt_outs = {channel: list(categories) for channel, categories in contact.opt_outs.items()}
    muted = dict.fromkeys(_muted(contact))
    for kind, wanted in choices.items():
        if workflow == EVERY_WORKFLOW and kind in CHANNELS:
            channel = CHANNELS[kind].value
            others = [category for category in opt_outs.pop(channel, ()) if category != EVERYTHING]
            if not wanted:
                opt_outs[channel] = [EVERYTHING, *others]
            elif others:
                opt_outs[channel] = others
        elif wanted:
            muted.pop(muted_entry(workflow, kind), None)
        else:
            muted[muted_entry(workflow, kind)] = None
    attributes = {**contact.attributes, MUTED: list(muted)[-_MOST_MUTED:]}
    if not muted:
        del attributes[MUTED]
    return contact._replace(opt_outs=opt_outs, attributes=attributes)


def _muted(contact: Contact) -> list[str]:
    muted = contact.attributes.get(MUTED, [])
    return muted if isinstance(muted, list) else []


class CriticalityQuery(BaseModel):
    """Which workflows to show: those that can be turned off, the others, or all."""

    criticality: Literal["nonCritical", "critical", "all"] = "nonCritical"


class Preferences:
    """The handlers."""

    def __init__(self, contacts: Contacts, book: WorkflowBook) -> None:
        self._contacts = contacts
        self._book = book

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        first, second = "/v1/subscribers/{subscriberId}/preferences", "/v2/subscribers/{subscriberId}/preferences"
        return [
            operation("GET", second, "get_preferences", "Get what a subscriber wants", self._get,
                      query=CriticalityQuery),
            operation("PATCH", second, "change_preferences", "Change what a subscriber wants", self._change,
                      body=SubscriberPreferencesBody),
            operation("PATCH", f"{second}/bulk", "change_preferences_bulk", "Change it for several workflows",
                      self._change_bulk, body=PreferencesBulkBody),
            operation("GET", first, "list_preferences_v1", "Get what a subscriber wants of each workflow",
                      self._list_legacy),
            operation("GET", f"{first}/{{level}}", "get_preferences_v1", "Get what a subscriber wants, at one level",
                      self._get_legacy),
            operation("PATCH", first, "change_preferences_v1", "Change what a subscriber wants of every workflow",
                      self._change_legacy_global, body=LegacyGlobalPreferencesBody),
            operation("PATCH", f"{first}/{{level}}", "change_workflow_preferences_v1",
                      "Change what a subscriber wants of one workflow", self._change_legacy,
                      body=LegacyPreferenceBody),
        ]  # fmt: skip

    async def _get(self, call: Call) -> web.Response:
        return await self._shown(call, await self._contact(call), call.query.criticality)

    async def _change(self, call: Call) -> web.Response:
        body: SubscriberPreferencesBody = call.body
        identifier = EVERY_WORKFLOW
        if body.workflow_id is not None:
            identifier = (await self._changeable(call.principal.workspace_id, body.workflow_id)).identifier
        choices = _known(body.channels)
        return await self._shown(call, await self._rework(call, [(identifier, choices)]))

    async def _change_bulk(self, call: Call) -> web.Response:
        body: PreferencesBulkBody = call.body
        chosen: list[tuple[str, dict[str, bool]]] = []
        entries = []
        for item in body.preferences:
            entry = await self._changeable(call.principal.workspace_id, item.workflow_id)
            entries.append(entry)
            chosen.append((entry.identifier, _known(item.channels)))
        contact = await self._rework(call, chosen)
        return enveloped(
            [
                {"level": "template", **_preference(workflow_channels(contact, entry)), "workflow": _inbox_info(entry)}
                for entry in entries
            ]
        )

    async def _list_legacy(self, call: Call) -> web.Response:
        contact = await self._contact(call)
        entries = await self._book.all(call.principal.workspace_id)
        return enveloped([_legacy(contact, entry) for entry in entries])

    async def _get_legacy(self, call: Call) -> web.Response:
        contact = await self._contact(call)
        if call.request.match_info["level"] == "global":
            return enveloped([{"preference": _preference(global_channels(contact))}])
        entries = await self._book.all(call.principal.workspace_id)
        return enveloped([_legacy(contact, entry) for entry in entries])

    async def _change_legacy_global(self, call: Call) -> web.Response:
        body: LegacyGlobalPreferencesBody = call.body
        everything = {} if body.enabled is None else dict.fromkeys(MESSAGE_TYPES, body.enabled)
        contact = await self._rework(call, [(EVERY_WORKFLOW, everything | _chosen(body.preferences))])
        return enveloped({"preference": _preference(global_channels(contact))})

    async def _change_legacy(self, call: Call) -> web.Response:
        body: LegacyPreferenceBody = call.body
        entry = await self._changeable(call.principal.workspace_id, call.request.match_info["level"])
        choices = {} if body.enabled is None else dict.fromkeys(MESSAGE_TYPES, body.enabled)
        choices |= _chosen([] if body.channel is None else [body.channel])
        contact = await self._rework(call, [(entry.identifier, choices)])
        return enveloped(_legacy(contact, entry))

    async def _contact(self, call: Call) -> Contact:
        external_id = call.request.match_info["subscriberId"]
        try:
            return (await self._contacts.get(call.principal.workspace_id, external_id, external=True)).contact
        except NotThere as problem:
            raise refused(f"Subscriber with id: {external_id} not found", 404) from problem

    async def _rework(self, call: Call, chosen: Iterable[tuple[str, Mapping[str, bool]]]) -> Contact:
        external_id = call.request.match_info["subscriberId"]

        def choose(contact: Contact) -> Contact:
            for identifier, choices in chosen:
                contact = with_choices(contact, choices, identifier)
            return contact

        try:
            stored = await self._contacts.rework(call.principal.workspace_id, external_id, None, choose, external=True)
        except NotThere as problem:
            raise refused(f"Subscriber with id: {external_id} not found", 404) from problem
        return stored.contact

    async def _changeable(self, workspace_id: UUID, reference: str) -> Entry:
        try:
            entry = await self._book.find(workspace_id, reference)
        except NotThere as problem:
            raise refused(f"Workflow with id: {reference} not found", 404) from problem
        if entry.is_foreign:
            raise invalid(
                [{"field": "workflowId", "message": "was not defined through this door: it asks no preferences"}]
            )
        if is_critical(entry.document):
            raise invalid([{"field": "workflowId", "message": "is critical: it cannot be turned off"}])
        return entry

    async def _shown(self, call: Call, contact: Contact, criticality: str = NON_CRITICAL) -> web.Response:
        channels = global_channels(contact)
        workflows = []
        for entry in await self._book.all(call.principal.workspace_id):
            kind = "critical" if is_critical(entry.document) else NON_CRITICAL
            if not entry.is_foreign and criticality in {kind, "all"}:
                preference = _preference(workflow_channels(contact, entry))
                workflows.append({**preference, "overrides": [], "workflow": _info(entry)})
        return enveloped({"global": _preference(channels), "workflows": workflows})


def _preference(channels: Mapping[str, bool]) -> dict[str, Any]:
    return {"enabled": not channels or any(channels.values()), "channels": dict(channels)}


def _info(entry: Entry) -> dict[str, Any]:
    return {"slug": entry.slug, "identifier": entry.identifier, "name": entry.document["name"]}


def _inbox_info(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.object_id,
        "identifier": entry.identifier,
        "name": entry.document["name"],
        "critical": is_critical(entry.document),
        "tags": entry.document.get("tags") or [],
        "severity": entry.document.get("severity") or "none",
    }


def _legacy(contact: Contact, entry: Entry) -> dict[str, Any]:
    template = {"_id": entry.object_id, "name": entry.document["name"], "critical": is_critical(entry.document)}
    return {"template": template, "preference": _preference(workflow_channels(contact, entry))}


def _known(channels: Mapping[str, bool]) -> dict[str, bool]:
    return {kind: wanted for kind, wanted in channels.items() if kind in MESSAGE_TYPES}


def _chosen(choices: Iterable[ChannelChoice]) -> dict[str, bool]:
    return _known({choice.type: choice.enabled for choice in choices})
