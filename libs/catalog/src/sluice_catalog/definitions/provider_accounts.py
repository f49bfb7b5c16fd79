"""Provider accounts: where messages are handed over, with what credentials, and how fast.

Secrets are written and never read back: they are kept encrypted, and a change that does not name one keeps it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from sluice_catalog.addresses import normalise_email
from sluice_catalog.definitions.shelf import Shelf, Stored, queries
from sluice_catalog.definitions.words import Definition, Name
from sluice_catalog.rows import Row
from sluice_contracts.vocabulary import Channel
from sluice_runtime.clock import Clock
from sluice_runtime.secrets import SecretBox
from sluice_storage.database import Connection, Database


def _email(text: str) -> str:
    if normalise_email(text) is None:
        raise ValueError("must be an email address")
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Email = Annotated[str, AfterValidator(_email)]
BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=500)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=5000)]
Prices = Annotated[dict[str, Any], Field(description="Millionths of a US dollar by country.")]


class NoSecrets(Definition):
    """This provider has none."""


class SandboxConfig(Definition):
    """`lookup`: whether the sandbox answers what became of a message."""

    lookup: bool = False
    prices: Prices | None = None


class SmtpConfig(Definition):
    """A relay, and who messages are from where nothing else says so."""

    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")]
    port: Annotated[int, Field(ge=1, le=65535)]
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    username: Text | None = None
    from_email: Email | None = None
    from_name: Annotated[str, StringConstraints(pattern=r"^[^\r\n]{1,200}$")] | None = None
    reply_to: Email | None = None
    bounce_domain: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,253}$")] | None = None
    unsubscribe: bool | None = Field(
        default=None, description="Whether marketing carries one-click unsubscribe headers."
    )
    connections: Annotated[int, Field(ge=1, le=100)] | None = None
    prices: Prices | None = None


class SmtpSecrets(Definition):
    """The relay's password, and the token with which a mail gateway brings bounces back."""

    password: Secret | None = None
    callback_token: Secret | None = None


class TwilioConfig(Definition):
    """A Twilio account, and the number or the messaging service that messages come from."""

    model_config = Definition.model_config | {"populate_by_name": True}

    account_sid: Identifier
    sender: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+ ]{1,40}$")] | None = Field(
        default=None, alias="from"
    )
    messaging_service_sid: Identifier | None = None
    base_url: BaseUrl | None = None
    prices: Prices | None = None

    @model_validator(mode="after")
    def _has_a_sender(self) -> Self:
        if self.sender is None and self.messaging_service_sid is None:
            raise ValueError("from or messaging_service_sid is needed")
        return self


class TwilioSecrets(Definition):
    """The account's token, and the key of signatures by HMAC-SHA256 where the account uses them."""

    auth_token: Secret
    shared_key: Secret | None = None


class MetaConfig(Definition):
    """A WhatsApp phone number at Meta."""

    phone_number_id: Identifier
    waba_id: Identifier | None = None
    graph_version: Annotated[str, StringConstraints(pattern=r"^v\d{1,3}\.\d{1,2}$")] | None = None
    base_url: BaseUrl | None = None
    prices: Prices | None = None


class MetaSecrets(Definition):
    access_token: Secret
    app_secret: Secret | None = None
    verify_token: Secret | None = None


class Account(Definition):
    """What every account has. At most one account of a channel is the default."""

    name: Name
    channel: Channel
    provider: str
    config: Any
    secrets: Any
    rate_per_second: Annotated[float, Field(gt=0, le=100_000)] | None = None
    is_default: bool = False


class SandboxAccount(Account):
    """Sends nothing and keeps what it got."""

    provider: Literal["sandbox"]
    config: SandboxConfig = SandboxConfig()
    secrets: NoSecrets = NoSecrets()


class SmtpAccount(Account):
    """Email over SMTP."""

    provider: Literal["smtp"]
    channel: Literal[Channel.EMAIL] = Channel.EMAIL
    config: SmtpConfig
    secrets: SmtpSecrets = SmtpSecrets()


class TwilioAccount(Account):
    """SMS through Twilio."""

    provider: Literal["twilio"]
    channel: Literal[Channel.SMS] = Channel.SMS
    config: TwilioConfig
    secrets: TwilioSecrets


class MetaAccount(Account):
    """WhatsApp through Meta's Cloud API."""

    provider: Literal["meta"]
    channel: Literal[Channel.WHATSAPP] = Channel.WHATSAPP
    config: MetaConfig
    secrets: MetaSecrets


AnyAccount = SandboxAccount | SmtpAccount | TwilioAccount | MetaAccount
_KINDS: dict[str, type[AnyAccount]] = {
    "sandbox": SandboxAccount,
    "smtp": SmtpAccount,
    "twilio": TwilioAccount,
    "meta": MetaAccount,
}
PROVIDERS = tuple(_KINDS)


class ProviderAccounts(Shelf[Account]):
    """The provider accounts of all workspaces."""

    table = "provider_accounts"
    noun = "provider account"

    def __init__(self, database: Database, clock: Clock, secret_box: SecretBox) -> None:
        super().__init__(database, clock)
        self._secret_box = secret_box

    def _read(self, row: Row) -> tuple[Account, dict[str, Any]]:
        kind = _KINDS[row["provider"]]
        secrets = {name: self._secret_box.decrypt(sealed) for name, sealed in row["secrets"].items()}
        content = kind.model_validate(
            {
                "name": row["name"],
                "channel": row["channel"],
                "provider": row["provider"],
                "config": row["config"],
                "secrets": secrets,
                "rate_per_second": row["rate_per_second"],
                "is_default": row["is_default"],
            }
        )
        return content, {}

    async def _columns(
        self, connection: Connection, workspace_id: UUID, content: Account, current: Stored[Account] | None
    ) -> tuple[Any, ...]:
        if content.is_default:
            await connection.execute(
                queries.drop_default, workspace_id, content.channel, current and current.id, self._clock.now()
            )
        config = content.config.model_dump(mode="json", by_alias=True, exclude_none=True)
        secrets = {
            name: self._secret_box.encrypt(secret.get_secret_value())
            for name, secret in content.secrets
            if secret is not None
        }
        return (
            content.channel,
            content.provider,
            content.name,
            config,
            secrets,
            content.rate_per_second,
            content.is_default,
        )
