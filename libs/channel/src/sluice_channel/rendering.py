"""From a command's content and a contact's values to a message: choose the variant, render it, say what is missing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, repeat
from typing import Any, Final
from uuid import UUID

from sluice_catalog.models import TemplateVersion
from sluice_catalog.repository import Catalog
from sluice_catalog.templating import MissingVariable, TemplateProblem, render_values
from sluice_catalog.templating.variables import STEPS
from sluice_catalog.variants import VariantProblem, choose, country_of
from sluice_channel.channels import ChannelKind, ColumnarContent, CompiledContent
from sluice_channel.domain.gates import Verdict, verdict
from sluice_channel.provider import RenderedMessage
from sluice_contracts.messages.command import JobsCommanded
from sluice_contracts.messages.content import MissingTemplate, TemplateContent
from sluice_contracts.vocabulary import Channel, FilterCode

_CAPACITY: Final = 500


@dataclass(frozen=True, slots=True)
class RenderFault:
    """The template cannot be rendered with these values; a sentence for the person who wrote it."""

    detail: str


Rendered = RenderedMessage | Verdict | RenderFault


class Renderer:
    """Compiles contents and keeps what it compiled: versions of templates never change."""

    def __init__(self, catalog: Catalog, kind: ChannelKind) -> None:
        self._catalog = catalog
        self._kind = kind
        self._compiled: OrderedDict[tuple[UUID, int, int], CompiledContent | RenderFault] = OrderedDict()

    async def page(self, command: JobsCommanded) -> PageRenderer:
        """Return a renderer for the jobs of one command."""
        content = command.content
        if isinstance(content, MissingTemplate):
            return PageRenderer(command, missing=verdict(FilterCode.TEMPLATE_MISSING))
        if isinstance(content, TemplateContent):
            template = await self._catalog.template_version(content.template_id, content.version)
            fits = (
                template is not None
                and template.workspace_id == command.workspace_id
                and template.channel is self._kind.channel
            )
            if template is None or not fits:
                return PageRenderer(command, missing=verdict(FilterCode.TEMPLATE_MISSING))
            return PageRenderer(command, renderer=self, template=template)
        if content.kind != self._kind.channel:
            return PageRenderer(command, missing=verdict(FilterCode.TEMPLATE_MISSING))
        return PageRenderer(command, inline=self._compile(content.model_dump(exclude={"kind"})))

    def variant(
        self, template: TemplateVersion, country: str | None, locale: str | None
    ) -> CompiledContent | RenderFault | Verdict:
        """Return the compiled variant for a country and locale, or the gate that is failed."""
        chosen = choose(template, country, locale)
        if isinstance(chosen, VariantProblem):
            return Verdict(chosen.code, chosen.sentence)
        key = (template.template_id, template.version, template.variants.index(chosen))
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = self._compile(chosen.content)
            if len(self._compiled) > _CAPACITY:
                self._compiled.popitem(last=False)
        return compiled

    def _compile(self, content: Mapping[str, Any]) -> CompiledContent | RenderFault:
        try:
            return self._kind.compile(content)
        except TemplateProblem as problem:
            return RenderFault(str(problem))


class PageRenderer:
    """Renders the jobs of one command.

    A message that refers to nothing of its contact is rendered once a variant.
    """

    def __init__(
        self,
        command: JobsCommanded,
        *,
        renderer: Renderer | None = None,
        template: TemplateVersion | None = None,
        inline: CompiledContent | RenderFault | None = None,
        missing: Verdict | None = None,
    ) -> None:
        self._command = command
        self._renderer = renderer
        self._template = template
        self._inline = inline
        self._missing = missing
        self._variants: dict[tuple[str | None, str | None], CompiledContent | RenderFault | Verdict] = {}
        self._same_for_all: dict[int, Rendered] = {}

    def render(self, places: Sequence[int]) -> list[Rendered]:
        """Return the messages of the jobs at `places` in the command, in order, or why there is none."""
        found: list[Rendered] = []
        for compiled, same in groupby(map(self._content, places)):
            group = places[len(found) : len(found) + sum(1 for _ in same)]
            if isinstance(compiled, Verdict | RenderFault):
                found += [compiled] * len(group)
            else:
                found += self._messages(compiled, group)
        return found

    def _messages(self, compiled: CompiledContent, places: Sequence[int]) -> Sequence[Rendered]:
        variables = self._command.variables
        fields = {path: [column[place] for place in places] for path, column in self._command.jobs.fields.items()}
        if not fields:
            known = self._same_for_all.get(id(compiled))
            if known is None:
                known = self._same_for_all[id(compiled)] = _render(compiled, {}, variables)
            return [known] * len(places)
        together = None
        if isinstance(compiled, ColumnarContent) and STEPS not in fields:
            together = compiled.render_columns(fields, variables)
        return [
            _render(compiled, {path: column[index] for path, column in fields.items()}, variables)
            if message is None
            else message
            for index, message in enumerate(repeat(None, len(places)) if together is None else together)
        ]

    def _content(self, place: int) -> CompiledContent | RenderFault | Verdict:
        if self._missing is not None:
            return self._missing
        if self._inline is not None:
            return self._inline
        if self._renderer is None or self._template is None:
            raise ValueError("a page has a template, an inline content, or none of both and a verdict")
        jobs = self._command.jobs
        locale = jobs.locale[place]
        # The country of an email is the region of its reader's language; there is no number that could tell.
        country = country_of(locale) if self._command.channel is Channel.EMAIL else jobs.country[place]
        key = (country, locale)
        found = self._variants.get(key)
        if found is None:
            found = self._variants[key] = self._renderer.variant(self._template, country, locale)
        return found


def _render(compiled: CompiledContent, fields: Mapping[str, Any], variables: Mapping[str, Any]) -> Rendered:
    try:
        return compiled.render(render_values(fields, variables))
    except MissingVariable as problem:
        return verdict(FilterCode.TEMPLATE_MISSING_VARIABLE, str(problem))
    except TemplateProblem as problem:
        return RenderFault(str(problem))
