"""`/v1/integrations`: provider accounts under the names that Novu has for providers and credentials.

Secrets go in and never come out: an answer shows only what is public of the credentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError

from ingest.definitions.resource import renew
from ingest.doors.novu.answering import operation
from ingest.doors.novu.bodies import IntegrationBody, IntegrationChangeBody
from ingest.doors.novu.documents import slug
from sluice_catalog.definitions.provider_accounts import Account, AnyAccount, ProviderAccounts
from sluice_catalog.definitions.shelf import Stored
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_contracts.novu import CHANNEL_TYPES, CHANNELS, object_id, provider_id
from sluice_contracts.vocabulary import Channel
from sluice_runtime.http.novu import enveloped, refused, without_nulls
from sluice_runtime.http.operations import Call, Operation
from sluice_runtime.http.problems import FieldError, Problem, invalid

_MOST: Final = 500
_SANDBOX: Final = "sandbox"
_OURS: Final = {
    ("twilio", Channel.SMS): "twilio",
    ("nodemailer", Channel.EMAIL): "smtp",
    ("whatsapp-business", Channel.WHATSAPP): "meta",
    ("novu-sms", Channel.SMS): _SANDBOX,
    ("novu-email", Channel.EMAIL): _SANDBOX,
}
_CONFIG: Final = {
    "twilio": {"accountSid": "account_sid", "from": "from", "messageProfileId": "messaging_service_sid",
               "baseUrl": "base_url"},
    "smtp": {"host": "host", "port": "port", "user": "username", "from": "from_email", "senderName": "from_name"},
    "meta": {"phoneNumberIdentification": "phone_number_id", "baseUrl": "base_url"},
    _SANDBOX: {},
}  # fmt: skip
_SECRETS: Final = {
    "twilio": {"token": "auth_token"},
    "smtp": {"password": "password"},
    "meta": {"apiToken": "access_token"},
    _SANDBOX: {},
}
_account: Final[TypeAdapter[AnyAccount]] = TypeAdapter(Annotated[AnyAccount, Field(discriminator="provider")])


def account_of(body: IntegrationBody, *, is_default: bool) -> AnyAccount:
    """Return the account that an integration stands for.

    Raises Problem 422 for a provider that messages cannot be sent through here, and for credentials that are not its.
    """
    channel = CHANNELS.get(body.channel)
    provider = None if channel is None else _OURS.get((body.provider_id, channel))
    if channel is None or provider is None:
        message = f"{body.provider_id} on {body.channel} is not a provider that messages can be sent through here"
        raise invalid([{"field": "providerId", "message": message}])
    return _validated(
        {
            "name": body.name or body.identifier or body.provider_id,
            "channel": channel,
            "provider": provider,
            "config": _config(provider, body.credentials),
            "secrets": _renamed(_SECRETS[provider], body.credentials),
            "is_default": is_default,
        },
        provider,
    )


def changed(account: Account, body: IntegrationChangeBody) -> Account:
    """Return an account with what changes; credentials that are not named stay. Raises Problem 422."""
    said = body.credentials or {}
    config = account.config.model_dump(mode="json", by_alias=True, exclude_none=True) | _config(account.provider, said)
    secrets = {name: secret.get_secret_value() for name, secret in account.secrets if secret is not None}
    given = {
        **account.model_dump(mode="json", exclude={"secrets", "config"}),
        **without_nulls({"name": body.name}),
        "config": config,
        "secrets": secrets | _renamed(_SECRETS[account.provider], said),
    }
    return _validated(given, account.provider)


def shown(stored: Stored[Account]) -> dict[str, Any]:
    """Return an account as Novu shows an integration."""
    account = stored.content
    workspace = object_id(stored.workspace_id)
    config = account.config.model_dump(mode="json", by_alias=True, exclude_none=True)
    theirs = {ours: name for name, ours in _CONFIG[account.provider].items()}
    return {
        "_id": object_id(stored.id),
        "_organizationId": workspace,
        "_environmentId": workspace,
        "name": account.name,
        "identifier": slug(account.name),
        "providerId": provider_id(account.channel, account.provider),
        "channel": CHANNEL_TYPES[account.channel],
        "credentials": {theirs[name]: str(value) for name, value in config.items() if name in theirs},
        "active": True,
        "primary": account.is_default,
        "deleted": False,
        "conditions": [],
        "createdAt": stored.created_at,
        "updatedAt": stored.updated_at,
    }


class Integrations:
    """The handlers."""

    def __init__(self, accounts: ProviderAccounts, snapshot: CatalogSnapshot) -> None:
        self._accounts = accounts
        self._snapshot = snapshot

    def operations(self) -> list[Operation]:
        """Return the operations for `add_operations`."""
        path = "/v1/integrations"
        item = f"{path}/{{integrationId}}"
        return [
            operation("GET", path, "list_integrations", "List integrations", self._list),
            operation("GET", f"{path}/active", "list_active_integrations", "List active integrations", self._list),
            operation("GET", f"{path}/in-app/status", "get_in_app_status", "Say that there is no in-app channel",
                      self._in_app),
            operation("POST", path, "create_integration", "Create an integration", self._create, statuses=(201,),
                      body=IntegrationBody),
            operation("PUT", item, "update_integration", "Change an integration", self._update,
                      body=IntegrationChangeBody),
            operation("DELETE", item, "delete_integration", "Delete an integration", self._delete),
            operation("POST", f"{item}/set-primary", "set_primary_integration", "Send through an integration",
                      self._set_primary),
        ]  # fmt: skip

    async def _list(self, call: Call) -> web.Response:
        return enveloped([shown(stored) for stored in await self._all(call)])

    async def _in_app(self, call: Call) -> web.Response:
        return enveloped({"active": False})

    async def _create(self, call: Call) -> web.Response:
        body: IntegrationBody = call.body
        channel = CHANNELS.get(body.channel)
        now_default = [
            stored.content for stored in await self._all(call)
            if stored.content.is_default and stored.content.channel is channel
        ]  # fmt: skip
        replaces = body.active and all(account.provider == _SANDBOX for account in now_default)
        stored = await self._accounts.create(call.principal.workspace_id, account_of(body, is_default=replaces))
        await self._seen()
        return enveloped(shown(stored), 201)

    async def _update(self, call: Call) -> web.Response:
        found = await self._found(call)
        stored = await self._accounts.change(
            call.principal.workspace_id, str(found.id), None, lambda account: changed(account, call.body)
        )
        await self._seen()
        return enveloped(shown(stored))

    async def _delete(self, call: Call) -> web.Response:
        await self._accounts.delete(call.principal.workspace_id, str((await self._found(call)).id))
        await self._seen()
        return await self._list(call)

    async def _set_primary(self, call: Call) -> web.Response:
        found = await self._found(call)

        def choose(account: Account) -> Account:
            return account.model_copy(update={"is_default": True})

        stored = await self._accounts.change(call.principal.workspace_id, str(found.id), None, choose)
        await self._seen()
        return enveloped(shown(stored))

    async def _all(self, call: Call) -> list[Stored[Account]]:
        return list(await self._accounts.page(call.principal.workspace_id, None, _MOST))

    async def _found(self, call: Call) -> Stored[Account]:
        wanted = call.request.match_info["integrationId"]
        for stored in await self._all(call):
            if wanted in {object_id(stored.id), slug(stored.content.name)}:
                return stored
        raise refused(f"Integration with id {wanted} not found", 404)

    async def _seen(self) -> None:
        await renew(self._snapshot, self._accounts.table)


def _config(provider: str, credentials: Mapping[str, Any]) -> dict[str, Any]:
    config = _renamed(_CONFIG[provider], credentials)
    if provider == "smtp":
        if str(config.get("port", "")).isdigit():
            config["port"] = int(config["port"])
        if credentials.get("ignoreTls") is True:
            config["tls"] = "none"
        elif credentials.get("secure") is True:
            config["tls"] = "implicit"
        elif credentials.get("secure") is False or credentials.get("requireTls") is True:
            config["tls"] = "starttls"
    return config


def _renamed(names: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    return {ours: given[theirs] for theirs, ours in names.items() if given.get(theirs) not in {None, ""}}


def _validated(given: dict[str, Any], provider: str) -> AnyAccount:
    try:
        return _account.validate_python(given)
    except ValidationError as error:
        raise _wrong_credentials(error, provider) from error


def _wrong_credentials(error: ValidationError, provider: str) -> Problem:
    theirs = {ours: name for names in (_CONFIG, _SECRETS) for name, ours in names[provider].items()}
    found: list[FieldError] = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = [str(step) for step in item["loc"] if step != provider]
        if not path or path[0] not in {"config", "secrets", "name"}:
            continue
        field = f"credentials.{theirs.get(path[-1], path[-1])}" if len(path) > 1 else path[0]
        entry: FieldError = {"field": field, "message": item["msg"].removeprefix("Value error, ")}
        if entry not in found:
            found.append(entry)
    return invalid(found or [{"field": "credentials", "message": "are not those of this provider"}])
