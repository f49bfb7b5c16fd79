"""A template as one person would get it, without sending it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from sluice_catalog import templating
from sluice_catalog.definitions.problems import Fault, InvalidDefinition
from sluice_catalog.definitions.words import Country, Definition, Locale
from sluice_catalog.models import Contact, TemplateVersion
from sluice_catalog.variants import VariantProblem, choose, country_of
from sluice_channel.segmentation import segment
from sluice_contracts.vocabulary import Channel

_ESCAPED: Final = frozenset({"html"})


class PreviewBody(Definition):
    """For whom: a contact, or a country and a locale; and with which variables."""

    variables: dict[str, Any] = Field(default_factory=dict)
    contact_external_id: str | None = None
    country: Country | None = None
    locale: Locale | None = None


class PreviewVariant(BaseModel):
    """Which variant was chosen."""

    country: str | None
    locale: str | None
    approval: str | None


class Preview(BaseModel):
    """What the person would read. `segments` and `encoding` are those of an SMS."""

    channel: Channel
    version: int
    variant: PreviewVariant
    text: str | None = None
    subject: str | None = None
    html: str | None = None
    template_name: str | None = None
    language: str | None = None
    components: list[dict[str, Any]] | None = None
    segments: Annotated[int | None, Field(description="Parts that are paid for.")] = None
    encoding: str | None = None


def preview(template: TemplateVersion, wanted: PreviewBody, contact: Contact | None) -> Preview:
    """Return the rendered template.

    Raises InvalidDefinition where no variant fits, a variable is missing, or the values do not fit the template.
    """
    country, locale = _whereabouts(template.channel, wanted, contact)
    variant = choose(template, country, locale)
    if isinstance(variant, VariantProblem):
        raise InvalidDefinition([Fault("country", variant.sentence)])
    values = _values(template, wanted, contact)
    rendered = {name: _rendered(value, values, escape_html=name in _ESCAPED) for name, value in variant.content.items()}
    if template.channel is Channel.WHATSAPP:
        rendered["text"] = rendered.pop("body")
    if template.channel is Channel.SMS:
        parts = segment(rendered["text"])
        rendered |= {"segments": parts.segments, "encoding": parts.encoding}
    chosen = PreviewVariant(country=variant.country, locale=variant.locale, approval=variant.approval)
    return Preview(channel=template.channel, version=template.version, variant=chosen, **rendered)


def _whereabouts(channel: Channel, wanted: PreviewBody, contact: Contact | None) -> tuple[str | None, str | None]:
    locale = wanted.locale or (contact.locale if contact else None)
    if wanted.country is not None or channel is Channel.EMAIL:
        return wanted.country or country_of(locale), locale
    return contact.country if contact else None, locale


def _values(template: TemplateVersion, wanted: PreviewBody, contact: Contact | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if contact is not None:
        paths = templating.contact_paths(template.references, wanted.variables)
        fields = {path: templating.contact_column([contact], path)[0] for path in paths}
    return templating.render_values(fields, wanted.variables)


def _rendered(value: Any, values: dict[str, Any], *, escape_html: bool) -> Any:
    match value:
        case str():
            return _text(value, values, escape_html=escape_html)
        case list():
            return [_rendered(item, values, escape_html=escape_html) for item in value]
        case dict():
            return {name: _rendered(item, values, escape_html=escape_html) for name, item in value.items()}
        case _:
            return value


def _text(source: str, values: dict[str, Any], *, escape_html: bool) -> str:
    try:
        return templating.parse(source, escape_html=escape_html).render(values)
    except templating.MissingVariable as problem:
        raise InvalidDefinition([Fault(f"variables.{problem.name}", "is needed by the template")]) from problem
    except templating.TemplateProblem as problem:
        raise InvalidDefinition([Fault("variables", str(problem))]) from problem
