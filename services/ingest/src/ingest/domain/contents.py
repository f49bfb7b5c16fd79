"""What a direct send says: a stored template, or the content that came with the request, and never both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from orjson import Fragment

from ingest.domain.bodies import EmailSend, SendBody, SmsSend, WhatsAppSend
from ingest.domain.definitions_view import DefinitionsView
from ingest.domain.refusal import RefusedError, WrongField
from sluice_catalog.models import TemplateReference
from sluice_catalog.templating import TemplateLimitExceeded, TemplateSyntaxProblem, parse
from sluice_contracts.base import fragment
from sluice_contracts.messages.content import Content, InlineEmail, InlineSms, InlineWhatsApp, TemplateContent
from sluice_contracts.messages.trigger import DirectSend
from sluice_contracts.vocabulary import Category, Channel

_INLINE_FIELDS: Final = {
    Channel.SMS: ("text",),
    Channel.EMAIL: ("subject", "content", "plain_text_content"),
    Channel.WHATSAPP: ("template_name", "language", "components", "text"),
}


@dataclass(frozen=True, slots=True)
class ChosenContent:
    """The plan to send it, its name for people (None where it has none), and the category of the template behind it.

    `plan` is a DirectSend, written already where many requests in a row have it in common.
    """

    plan: DirectSend | Fragment
    name: str | None
    category: Category | None


def content_of(body: SendBody, channel: Channel, workspace_id: UUID, definitions: DefinitionsView) -> ChosenContent:
    """Return what `body` says on `channel`.

    Raises RefusedError where it says nothing or two things, names a template that is not there or is another channel's,
    or holds a text that Liquid cannot read.
    """
    inline = [name for name in _INLINE_FIELDS[channel] if getattr(body, name) is not None]
    if body.template_key is None:
        return _inline(body, channel)
    if inline:
        raise RefusedError([WrongField(name, "does not go with template_key") for name in inline])
    template = definitions.template(workspace_id, body.template_key)
    if template is None:
        raise RefusedError([WrongField("template_key", f"there is no template {body.template_key!r}")], missing=True)
    if template.channel is not channel:
        message = f"the template {template.key!r} is for {template.channel.value}, not for {channel.value}"
        raise RefusedError([WrongField("template_key", message)])
    return _stored(template)


@lru_cache(maxsize=4096)
def _stored(template: TemplateReference) -> ChosenContent:
    """Many requests in a row name one template: what they have in common is made once."""
    content = TemplateContent(template_id=template.template_id, version=template.version, key=template.key)
    plan = fragment(DirectSend(channel=template.channel, content=content))
    return ChosenContent(plan, template.key, template.category)


def _given(channel: Channel, content: Content, name: str | None = None) -> ChosenContent:
    return ChosenContent(DirectSend(channel=channel, content=content), name, None)


def _inline(body: SendBody, channel: Channel) -> ChosenContent:
    match body:
        case SmsSend(text=str(text)):
            _check_sources(text=text)
            return _given(channel, InlineSms(text=text))
        case EmailSend(subject=str(subject), content=html, plain_text_content=text) if html or text:
            _check_sources(subject=subject, content=html, plain_text_content=text)
            return _given(channel, InlineEmail(subject=subject, html=html, text=text))
        case WhatsAppSend(template_name=str(name), language=str(language), text=None):
            components = [dict(component) for component in body.components or ()]
            content = InlineWhatsApp(template_name=name, language=language, components=components)
            return _given(channel, content, name)
        case WhatsAppSend(template_name=None, language=None, components=None, text=str(text)):
            _check_sources(text=text)
            return _given(channel, InlineWhatsApp(text=text))
        case _:
            raise RefusedError([WrongField("template_key", _needed(channel))])


def _needed(channel: Channel) -> str:
    match channel:
        case Channel.SMS:
            return "either template_key or text is needed"
        case Channel.EMAIL:
            return "either template_key or subject with content is needed"
        case Channel.WHATSAPP:
            return "one of template_key, template_name with language, or text is needed"


def _check_sources(**sources: str | None) -> None:
    wrong = [
        WrongField(field, message)
        for field, source in sources.items()
        if source is not None and "{" in source and (message := _liquid_problem(source)) is not None
    ]
    if wrong:
        raise RefusedError(wrong)


@lru_cache(maxsize=256)
def _liquid_problem(source: str) -> str | None:
    try:
        parse(source, escape_html=False)
    except (TemplateSyntaxProblem, TemplateLimitExceeded) as error:
        return str(error)
    return None
