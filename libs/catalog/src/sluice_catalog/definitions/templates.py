"""Templates: what to say on one channel, in variants by country and locale. Every change is a new version for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from sluice_catalog import rows, templating
from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.shelf import Shelf, Stored, queries
from sluice_catalog.definitions.words import Country, Definition, Key, Locale, Name, fault
from sluice_catalog.models import ApprovalStatus, TemplateVariant, TemplateVersion
from sluice_catalog.rows import Row
from sluice_contracts.vocabulary import Category, Channel
from sluice_storage.database import Connection

MOST_VARIANTS = 300
Source = Annotated[str, Field(max_length=64 * 1024, description="Text with {{ variables }}; Liquid.")]


class Variant(Definition):
    """Content for a country and a locale; without either it is the default."""

    ESCAPED: ClassVar[frozenset[str]] = frozenset()

    country: Country | None = None
    locale: Locale | None = None
    approval: ApprovalStatus | None = Field(default=None, description="Left out: as the channel has it.")

    def content(self) -> dict[str, Any]:
        """Return what is said, without for whom."""
        return self.model_dump(exclude={"country", "locale", "approval"})

    def references(self) -> frozenset[str]:
        """Return the root paths of the variables that are used. Raises TemplateSyntaxProblem."""
        found: set[str] = set()
        for _, source, escape_html in self._sources():
            found |= templating.parse(source, escape_html=escape_html).references
        return frozenset(found)

    @model_validator(mode="after")
    def _parses(self) -> Self:
        for field, source, escape_html in self._sources():
            try:
                templating.parse(source, escape_html=escape_html)
            except templating.TemplateProblem as problem:
                raise fault((field,), str(problem)) from problem
        return self

    def _sources(self) -> Iterator[tuple[str, str, bool]]:
        for field, value in self.content().items():
            for source in _texts(value):
                yield field, source, field in self.ESCAPED


class SmsVariant(Variant):
    """A text."""

    text: Annotated[Source, Field(min_length=1)]


class EmailVariant(Variant):
    """A subject with HTML, plain text or both."""

    ESCAPED = frozenset({"html"})

    subject: Annotated[Source, Field(min_length=1, max_length=2000)]
    html: Source | None = None
    text: Source | None = None

    @model_validator(mode="after")
    def _has_a_body(self) -> Self:
        if not self.html and not self.text:
            raise ValueError("an email needs html or text")
        return self


class WhatsAppVariant(Variant):
    """A template as the provider knows it by name and language; `body` is how it reads."""

    template_name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,512}$")]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$", examples=["en_US"])]
    body: Source | None = None
    components: list[dict[str, Any]] = Field(default_factory=list, max_length=20)


def _texts(value: Any) -> Iterable[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for item in value.values():
                yield from _texts(item)


class Template(Definition):
    """What every template has."""

    key: Key
    name: Name
    channel: Channel
    category: Category = Category.TRANSACTIONAL
    variants: list[Any]

    @field_validator("variants")
    @classmethod
    def _each_once(cls, variants: list[Variant]) -> list[Variant]:
        seen = set()
        for variant in variants:
            place = (variant.country, variant.locale)
            if place in seen:
                raise ValueError(f"there are two variants for country {place[0]} and locale {place[1]}")
            seen.add(place)
        return variants


class SmsTemplate(Template):
    """A template for SMS."""

    channel: Literal[Channel.SMS]
    variants: list[SmsVariant] = Field(min_length=1, max_length=MOST_VARIANTS)


class EmailTemplate(Template):
    """A template for email."""

    channel: Literal[Channel.EMAIL]
    variants: list[EmailVariant] = Field(min_length=1, max_length=MOST_VARIANTS)


class WhatsAppTemplate(Template):
    """A template for WhatsApp."""

    channel: Literal[Channel.WHATSAPP]
    variants: list[WhatsAppVariant] = Field(min_length=1, max_length=MOST_VARIANTS)


AnyTemplate = SmsTemplate | EmailTemplate | WhatsAppTemplate
_KINDS: dict[str, tuple[type[Template], type[Variant]]] = {
    Channel.SMS: (SmsTemplate, SmsVariant),
    Channel.EMAIL: (EmailTemplate, EmailVariant),
    Channel.WHATSAPP: (WhatsAppTemplate, WhatsAppVariant),
}


class Templates(Shelf[Template]):
    """The templates of all workspaces."""

    table = "templates"
    noun = "template"

    async def version(self, workspace_id: UUID, reference: str) -> TemplateVersion:
        """Return the newest version of a template. Raises NotThere."""
        return as_version(await self.get(workspace_id, reference))

    async def decide(
        self,
        workspace_id: UUID,
        reference: str,
        revision: int | None,
        *,
        among: frozenset[ApprovalStatus],
        to: ApprovalStatus,
    ) -> Stored[Template]:
        """Move the variants whose approval is `among` on to `to`.

        Raises NotThere, OutdatedRevision, or InvalidDefinition where no variant is `among`.
        """

        def change(template: Template) -> Template:
            if not any(variant.approval in among for variant in template.variants):
                states = " or ".join(sorted(among))
                raise InvalidDefinition([Fault("variants", f"no variant is {states}")])
            moved = [
                variant.model_copy(update={"approval": to}) if variant.approval in among else variant
                for variant in template.variants
            ]
            return template.model_copy(update={"variants": moved})

        return await self.change(workspace_id, reference, revision, change)

    def _read(self, row: Row) -> tuple[Template, dict[str, Any]]:
        kind, variant_kind = _KINDS[row["channel"]]
        variants = [
            variant_kind.model_construct(
                country=value["country"], locale=value["locale"], approval=value["approval"], **value["content"]
            )
            for value in row["variants"]
        ]
        content = kind.model_construct(
            key=row["key"],
            name=row["name"],
            channel=Channel(row["channel"]),
            category=Category(row["category"]),
            variants=variants,
        )
        return content, {"variables": sorted(row["variables"])}

    async def _columns(
        self, connection: Connection, workspace_id: UUID, content: Template, current: Stored[Template] | None
    ) -> tuple[Any, ...]:
        if current is not None and content.channel is not current.content.channel:
            raise InvalidDefinition([Fault("channel", "the channel of a template cannot be changed")])
        approves_at_once = content.channel is Channel.WHATSAPP and await connection.fetchval(
            queries.sends_whatsapp_by_sandbox, workspace_id
        )
        variants = [
            rows.variant_json(TemplateVariant(variant.country, variant.locale, approval, variant.content()))
            for variant, approval in _approvals(content, current, approves_at_once=approves_at_once)
        ]
        variables = sorted({path for variant in content.variants for path in variant.references()})
        return content.key, content.channel, content.name, content.category, variants, variables

    def _deletion(self, now: datetime) -> tuple[Any, ...]:
        return (now,)


def _approvals(
    content: Template, current: Stored[Template] | None, *, approves_at_once: bool
) -> Iterator[tuple[Variant, ApprovalStatus]]:
    """Yield each variant with its approval: as it says, or as it was before, or as its channel has it.

    What is said on SMS and email needs nobody's approval; on WhatsApp the provider's, which the sandbox gives at once.
    """
    before = {} if current is None else {_identity(variant): variant.approval for variant in current.content.variants}
    first: ApprovalStatus = "submitted" if content.channel is Channel.WHATSAPP else "approved"
    for variant in content.variants:
        approval: ApprovalStatus = variant.approval or before.get(_identity(variant)) or first
        yield variant, "approved" if approval == "submitted" and approves_at_once else approval


def _identity(variant: Variant) -> tuple[str | None, str | None, str]:
    return variant.country, variant.locale, repr(variant.content())


def as_version(stored: Stored[Template]) -> TemplateVersion:
    """Return a stored template as the services read it."""
    content = stored.content
    return TemplateVersion(
        template_id=stored.id,
        workspace_id=stored.workspace_id,
        version=stored.revision,
        key=content.key,
        name=content.name,
        channel=content.channel,
        category=content.category,
        variants=tuple(
            TemplateVariant(variant.country, variant.locale, variant.approval, variant.content())
            for variant in content.variants
        ),
        references=frozenset(stored.facts["variables"]),
    )
