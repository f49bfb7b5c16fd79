"""Provider accounts. Their secrets go in and never come out: an answer says only which there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, RootModel

from ingest.definitions.answers import kind_of
from ingest.definitions.resource import Resource, record_of
from sluice_catalog.definitions.provider_accounts import PROVIDERS, Account, AnyAccount, ProviderAccounts
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.http.operations import Operation


class ProviderBody(RootModel[Annotated[AnyAccount, Field(discriminator="provider")]]):
    """An account at any provider."""

    _known = kind_of("provider", PROVIDERS)


def provider_operations(shelf: ProviderAccounts, snapshot: CatalogSnapshot) -> list[Operation]:
    """Return the operations on provider accounts."""
    resource: Resource[Account] = Resource("/providers", shelf, ProviderBody, "Providers", {}, _show, _merge, snapshot)
    return resource.operations()


def _show(stored: Stored[Account]) -> dict[str, Any]:
    content = stored.content.model_dump(mode="json", exclude={"secrets", "config"})
    config = stored.content.config.model_dump(mode="json", by_alias=True, exclude_none=True)
    names = [name for name, secret in stored.content.secrets if secret is not None]
    return {"id": stored.id} | content | {"config": config, "secrets": dict.fromkeys(names, "set")} | record_of(stored)


def _merge(account: Account, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the account with what changes; a setting or a secret that is not named stays, one that is null goes."""
    whole = {**account.model_dump(mode="json", exclude={"secrets", "config"}), **given}
    config = account.config.model_dump(mode="json", by_alias=True, exclude_none=True)
    secrets = {name: secret.get_secret_value() for name, secret in account.secrets if secret is not None}
    for field, kept in (("config", config), ("secrets", secrets)):
        changes = given.get(field, {})
        whole[field] = _without_nulls(kept | changes) if isinstance(changes, dict) else changes
    return whole


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
