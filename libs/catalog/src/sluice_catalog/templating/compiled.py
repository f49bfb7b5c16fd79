"""Templates as the rest of Sluice uses them: parsed once, rendered with values, never a surprise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from liquid import BoundTemplate
from liquid.exceptions import LiquidError, OutputStreamLimitError, ResourceLimitError

from sluice_catalog.templating.engine import environment
from sluice_catalog.templating.filters import ALLOWED
from sluice_catalog.templating.plain import Part, plain_parts, render_columns, render_parts
from sluice_catalog.templating.problems import (
    TOO_LONG,
    TemplateLimitExceeded,
    TemplateProblem,
    TemplateRenderProblem,
    TemplateSyntaxProblem,
)
from sluice_catalog.templating.scanner import position, scan


class CompiledTemplate:
    """A template, ready to render any number of times.

    `references` are the root paths of the variables that it uses, as far as they are fixed: `code`,
    `contact.first_name`.
    """

    def __init__(
        self,
        references: Iterable[str],
        *,
        escape_html: bool,
        parts: Sequence[Part] | None = None,
        template: BoundTemplate | None = None,
    ) -> None:
        self.references = frozenset(references)
        self._escape_html = escape_html
        self._parts = parts
        self._template = template

    @property
    def is_plain(self) -> bool:
        """Whether it is only text and paths, and so renders without the engine."""
        return self._parts is not None

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text for these values, which must be JSON.

        Raises MissingVariable, TemplateLimitExceeded or TemplateRenderProblem.
        """
        if self._parts is not None:
            return render_parts(self._parts, values, escape_html=self._escape_html)
        return _render(self._template, values)

    def render_columns(
        self, fields: Mapping[str, Sequence[Any]], variables: Mapping[str, Any]
    ) -> list[str | None] | None:
        """Return the texts for many contacts, whose values by path are the rows of `fields`, at a tenth of the cost.

        Each is what `render` makes of `render_values` of its row and `variables`; None where only `render` can tell.
        None altogether where the template is not plain.
        """
        if self._parts is None or not fields or "attributes" in fields:
            return None
        return render_columns(self._parts, fields, variables, escape_html=self._escape_html)


def _render(template: BoundTemplate | None, values: Mapping[str, Any]) -> str:
    if template is None:
        raise ValueError("a compiled template has parts or a parsed template")
    try:
        return template.render(values)
    except TemplateProblem:
        raise
    except OutputStreamLimitError as error:
        raise TemplateLimitExceeded(TOO_LONG) from error
    except (ResourceLimitError, RecursionError, MemoryError) as error:
        raise TemplateLimitExceeded("The template takes too much to render") from error
    except LiquidError as error:
        raise TemplateRenderProblem(str(error.message or "The template cannot be rendered")) from error
    except (ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise TemplateRenderProblem(f"The template cannot be rendered: {error}") from error


@lru_cache(maxsize=512)
def parse(source: str, *, escape_html: bool) -> CompiledTemplate:
    """Read a template. `escape_html` escapes every value for HTML text and attributes.

    Raises TemplateSyntaxProblem, with the place, when it is none or uses what is not allowed.
    """
    pieces = scan(source)
    parts = plain_parts(pieces)
    if parts is not None:
        paths = (".".join(part) for part in parts if not isinstance(part, str))
        return CompiledTemplate(paths, escape_html=escape_html, parts=parts)
    try:
        template = environment(escape_html=escape_html).from_string(source)
        analysis = template.analyze()
    except LiquidError as error:
        raise _syntax_problem(source, error) from error
    except RecursionError as error:
        raise TemplateSyntaxProblem(1, 1, "The template is nested too deeply") from error
    for name, places in analysis.filters.items():
        if name not in ALLOWED:
            raise TemplateSyntaxProblem(*position(source, places[0].index), f"There is no filter {name}")
    references = {
        _reference(variable.segments) for variables in analysis.globals.values() for variable in variables
    } - {""}
    return CompiledTemplate(references, escape_html=escape_html, template=template)


def _reference(segments: Sequence[object]) -> str:
    fixed: list[str] = []
    for segment in segments:
        if not isinstance(segment, str) or "." in segment:
            break
        fixed.append(segment)
    return ".".join(fixed)


def _syntax_problem(source: str, error: LiquidError) -> TemplateSyntaxProblem:
    index = error.token.start_index if error.token is not None else -1
    return TemplateSyntaxProblem(
        *position(source, index if index >= 0 else len(source)), str(error.message or "this cannot be read")
    )
