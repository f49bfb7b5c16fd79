"""What can be wrong with a template or with the values that it is given."""

from __future__ import annotations

from typing import Final

MAX_OUTPUT_BYTES: Final = 256 * 1024
TOO_LONG: Final = f"A message has at most {MAX_OUTPUT_BYTES // 1024} kB"


class TemplateProblem(ValueError):  # noqa: N818 - findings about what somebody wrote, not failures of ours
    """Any of the below; the message is a sentence for the person who wrote the template."""


class TemplateSyntaxProblem(TemplateProblem):
    """The source is no template. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        self.line = line
        self.column = column
        self.message = message
        super().__init__(f"line {line}, column {column}: {message}")


class MissingVariable(TemplateProblem):
    """The template puts out a variable that has no value here. `name` is its dotted path."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"The template needs the variable {name}")


class TemplateLimitExceeded(TemplateProblem):
    """Rendering would take more work, memory or output than a message may."""


class TemplateRenderProblem(TemplateProblem):
    """The values do not fit what the template does with them (a text is divided, say)."""
