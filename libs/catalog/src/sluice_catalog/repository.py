"""What every service reads of the catalog, and the few facts that channel workers add to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final
from uuid import UUID

from sluice_catalog import audiences, events, profiles, rows
from sluice_catalog.addresses import normalise_email
from sluice_catalog.audiences import AudienceRecipients
from sluice_catalog.events import Changes, EventKey
from sluice_catalog.expiring import ExpiringCache
from sluice_catalog.models import (
    Contact,
    ProviderAccount,
    Suppression,
    TemplateReference,
    TemplateVersion,
    TriggerRule,
    WorkflowVersion,
    WorkspaceSettings,
)
from sluice_catalog.profiles import GivenProfile, KeptProfile
from sluice_contracts.identifiers import new_id
from sluice_contracts.vocabulary import Channel, SuppressionReason
from sluice_runtime.clock import Clock, SystemClock
from sluice_runtime.secrets import SecretBox
from sluice_storage import statements
from sluice_storage.database import Database

_IMMUTABLE_CAPACITY: Final = 2000
_SHORT_SECONDS: Final = 2.0
_STRENGTH: Final = {reason: place for place, reason in enumerate(SuppressionReason)}
_reads = statements.load("sluice_catalog", "reads.sql")


class Catalog:
    """Reads over one database. What never changes is cached by identity, accounts and settings for two seconds."""

    def __init__(self, database: Database, secret_box: SecretBox, clock: Clock | None = None) -> None:
        self._database = database
        self._secret_box = secret_box
        self._clock = clock or SystemClock()
        self._templates: OrderedDict[tuple[UUID, int], TemplateVersion] = OrderedDict()
        self._workflows: OrderedDict[tuple[UUID, int], WorkflowVersion] = OrderedDict()
        self._accounts: ExpiringCache[UUID, ProviderAccount | None] = ExpiringCache(1000, _SHORT_SECONDS)
        self._defaults: ExpiringCache[tuple[UUID, Channel], ProviderAccount | None] = ExpiringCache(
            1000, _SHORT_SECONDS
        )
        self._sandboxes: ExpiringCache[tuple[UUID, Channel], ProviderAccount | None] = ExpiringCache(
            1000, _SHORT_SECONDS
        )
        self._settings: ExpiringCache[UUID, WorkspaceSettings] = ExpiringCache(1000, _SHORT_SECONDS)

    def forget(self) -> None:
        """Drop what could have changed; call it on a `catalog_changed` notification and after a reconnect."""
        self._accounts.clear()
        self._defaults.clear()
        self._sandboxes.clear()
        self._settings.clear()

    async def template_version(self, template_id: UUID, version: int) -> TemplateVersion | None:
        """Return one version of a template, also of a deleted one; None when there never was such a version."""
        known = self._templates.get((template_id, version))
        if known is not None:
            return known
        row = await self._row(_reads.template_version, template_id, version)
        if row is None:
            return None
        found = rows.template_version(row)
        self._templates[template_id, version] = found
        if len(self._templates) > _IMMUTABLE_CAPACITY:
            self._templates.popitem(last=False)
        return found

    async def template_by_key(self, workspace_id: UUID, key: str) -> TemplateReference | None:
        """Return the newest version of the template that a workspace calls `key`."""
        row = await self._row(_reads.template_by_key, workspace_id, key)
        return None if row is None else rows.template_reference(row)

    async def workflow_version(self, workflow_id: UUID, version: int) -> WorkflowVersion | None:
        """Return one published version of a workflow, also of a deleted one."""
        known = self._workflows.get((workflow_id, version))
        if known is not None:
            return known
        row = await self._row(_reads.workflow_version, workflow_id, version)
        if row is None:
            return None
        found = rows.workflow_version(row)
        self._workflows[workflow_id, version] = found
        if len(self._workflows) > _IMMUTABLE_CAPACITY:
            self._workflows.popitem(last=False)
        return found

    async def workspace_settings(self, workspace_id: UUID) -> WorkspaceSettings:
        """Return a workspace's settings; the defaults for a workspace that is not there."""

        async def load() -> WorkspaceSettings:
            row = await self._row(_reads.workspace_settings, workspace_id)
            return WorkspaceSettings(workspace_id) if row is None else rows.workspace_settings(row)

        return await self._settings.get(workspace_id, load)

    async def contacts_by_external_id(self, workspace_id: UUID, external_ids: Collection[str]) -> list[Contact]:
        """Return those of a workspace's contacts that have these ids of the caller's, in no order."""
        return await self._contacts(_reads.contacts_by_external_id, workspace_id, list(external_ids))

    async def contacts_by_id(self, workspace_id: UUID, ids: Collection[UUID]) -> list[Contact]:
        """Return those of a workspace's contacts that have these ids of ours, in no order."""
        return await self._contacts(_reads.contacts_by_id, workspace_id, list(ids))

    async def keep_profiles(self, given: Sequence[GivenProfile]) -> None:
        """Write what requests said of people into their contacts, making those that are not there yet.

        The same again changes nothing, and nothing overwrites what was said or changed after it was accepted.
        """
        kept = await self._kept_forms(given)
        await profiles.keep(self._database, profiles.each_contact_once(kept), self._clock.now())

    async def owners_of_addresses(self, given: Sequence[GivenProfile]) -> dict[tuple[UUID, str], str]:
        """Return who has the addresses of profiles whose external id nobody has, by workspace and the id given."""
        return await profiles.owners(self._database, await self._kept_forms(given))

    async def rules_for(self, keys: Collection[EventKey]) -> dict[EventKey, list[TriggerRule]]:
        """Return the active rules of events, each (workspace, name), oldest first, as they are at this moment."""
        return await events.rules_for(self._database, keys)

    async def listened_for(self, keys: Collection[EventKey]) -> set[EventKey]:
        """Return those events, each (workspace, name), that a rule answers or a workflow waits for."""
        return await events.listened_for(self._database, keys)

    async def waited_for(self, keys: Collection[EventKey]) -> dict[EventKey, set[str]]:
        """Return those events, each (workspace, name), that steps of workflows wait for, with their correlations."""
        return await events.waited_for(self._database, keys)

    def contact_changes(self) -> AbstractAsyncContextManager[Changes]:
        """Take the oldest changes of contacts that somebody listens for in hand; see `events.contact_changes`."""
        return events.contact_changes(self._database)

    async def external_ids_with_email(self, workspace_id: UUID, email: str) -> list[str]:
        """Return the caller's ids of those contacts that have this address."""
        address = normalise_email(email) or email
        async with self._database.connection() as connection:
            found = await connection.fetch(_reads.external_ids_with_email, workspace_id, address)
        return [row["external_id"] for row in found]

    async def audience_count(self, workspace_id: UUID, recipients: AudienceRecipients) -> int:
        """Return how many active contacts an audience has now."""
        return await audiences.count(self._database, workspace_id, recipients)

    async def audience_page(
        self, workspace_id: UUID, recipients: AudienceRecipients, after: UUID | None, limit: int
    ) -> list[Contact]:
        """Return the next `limit` active contacts behind `after` in the order of ids; fewer only at the end."""
        return await audiences.page(self._database, workspace_id, recipients, after, limit)

    async def provider_account(self, account_id: UUID) -> ProviderAccount | None:
        """Return a provider account with its secrets."""

        async def load() -> ProviderAccount | None:
            row = await self._row(_reads.provider_account, account_id)
            return None if row is None else rows.provider_account(row, self._secret_box)

        return await self._accounts.get(account_id, load)

    async def default_account(self, workspace_id: UUID, channel: Channel) -> ProviderAccount | None:
        """Return the account that a workspace sends through on `channel` where nothing else is said."""

        async def load() -> ProviderAccount | None:
            row = await self._row(_reads.default_account, workspace_id, channel)
            return None if row is None else rows.provider_account(row, self._secret_box)

        return await self._defaults.get((workspace_id, channel), load)

    async def sandbox_account(self, workspace_id: UUID, channel: Channel) -> ProviderAccount | None:
        """Return a workspace's sandbox account on `channel`; its default one where it has several."""

        async def load() -> ProviderAccount | None:
            row = await self._row(_reads.sandbox_account, workspace_id, channel)
            return None if row is None else rows.provider_account(row, self._secret_box)

        return await self._sandboxes.get((workspace_id, channel), load)

    async def suppressions_among(
        self, workspace_id: UUID, channel: Channel, addresses: Collection[str]
    ) -> dict[str, SuppressionReason]:
        """Return those of `addresses` that may not be messaged on `channel`, each with its strongest reason."""
        async with self._database.connection() as connection:
            found = await connection.fetch(_reads.suppressions_among, workspace_id, channel, list(addresses))
        reasons: dict[str, SuppressionReason] = {}
        for row in found:
            reason = SuppressionReason(row["reason"])
            other = reasons.get(row["address"])
            if other is None or _STRENGTH[reason] < _STRENGTH[other]:
                reasons[row["address"]] = reason
        return reasons

    async def suppress(self, entries: Sequence[Suppression]) -> None:
        """Suppress addresses (normalised). One that is suppressed for the same reason already stays as it is."""
        unique = {(entry.workspace_id, entry.channel, entry.address, entry.reason): entry for entry in entries}
        ordered = [unique[key] for key in sorted(unique)]
        if not ordered:
            return
        now = self._clock.now()
        async with self._database.connection() as connection:
            await connection.execute(
                _reads.suppress,
                [entry.workspace_id for entry in ordered],
                [entry.channel for entry in ordered],
                [entry.address for entry in ordered],
                [entry.reason for entry in ordered],
                [entry.detail for entry in ordered],
                [new_id(now.timestamp()) for _ in ordered],
                now,
            )

    async def lift_stop(self, workspace_id: UUID, channel: Channel, address: str) -> None:
        """Take back a suppression that a STOP made; other reasons stay."""
        async with self._database.connection() as connection:
            await connection.execute(_reads.lift, workspace_id, channel, address, SuppressionReason.STOP)

    async def record_opt_out(
        self, workspace_id: UUID, external_id: str | None, address: str, channel: Channel, category: str = "*"
    ) -> None:
        """Note that a person does not want `category` ("*": anything) on `channel` any more. Repeats change nothing.

        A contact's own preference is changed where there is a contact; a bare address is suppressed as unsubscribed,
        whatever the category, because nothing smaller can be remembered of it.
        """
        async with self._database.connection() as connection:
            known = external_id is not None and await connection.fetchval(
                _reads.opt_out, workspace_id, external_id, channel, category, self._clock.now()
            )
        if not known:
            await self.suppress([Suppression(workspace_id, channel, address, SuppressionReason.UNSUBSCRIBED)])

    async def _kept_forms(self, given: Sequence[GivenProfile]) -> list[KeptProfile]:
        kept = []
        for profile in given:
            settings = await self.workspace_settings(profile.workspace_id)
            form = profiles.kept_form(profile, settings.default_country)
            if form is not None:
                kept.append(form)
        return kept

    async def _row(self, statement: str, *arguments: object) -> rows.Row | None:
        async with self._database.connection() as connection:
            return await connection.fetchrow(statement, *arguments)

    async def _contacts(self, statement: str, workspace_id: UUID, keys: Sequence[object]) -> list[Contact]:
        if not keys:
            return []
        async with self._database.connection() as connection:
            return [rows.contact(row) for row in await connection.fetch(statement, workspace_id, keys)]
