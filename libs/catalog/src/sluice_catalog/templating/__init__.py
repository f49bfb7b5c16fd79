"""Templates: `{{ }}` and Liquid's tags over JSON values, with limits on everything."""

from sluice_catalog.templating.compiled import CompiledTemplate, parse
from sluice_catalog.templating.problems import (
    MissingVariable,
    TemplateLimitExceeded,
    TemplateProblem,
    TemplateRenderProblem,
    TemplateSyntaxProblem,
)
from sluice_catalog.templating.variables import contact_column, contact_paths, render_values

__all__ = [
    "CompiledTemplate",
    "MissingVariable",
    "TemplateLimitExceeded",
    "TemplateProblem",
    "TemplateRenderProblem",
    "TemplateSyntaxProblem",
    "contact_column",
    "contact_paths",
    "parse",
    "render_values",
]
