"""The Liquid engine, shut off from the world: no partials, no clock, and a budget for everything.

Sizes and counts bound what a template can build; a budget of processor time of the rendering thread, looked at every
few nodes, bounds what is left. Processor time, not time on the wall: a worker that is paused fails no message.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import thread_time
from typing import Any, Final, NoReturn, TextIO

from liquid import BoundTemplate, Environment, RenderContext
from liquid.builtin import content, illegal, output
from liquid.builtin.expressions.loop import LoopExpression
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    cycle_tag,
    for_tag,
    if_tag,
    inline_comment_tag,
    unless_tag,
)
from liquid.stream import TokenStream
from liquid.undefined import Undefined
from liquid.utils import ReadOnlyChainMap

from sluice_catalog.templating import filters
from sluice_catalog.templating.problems import MAX_OUTPUT_BYTES, MissingVariable, TemplateLimitExceeded
from sluice_catalog.templating.text import text_of

MAX_ITERATIONS: Final = 5_000
MAX_NODES: Final = 100_000
MAX_WORK: Final = 4_000_000
MAX_PROCESSOR_SECONDS: Final = 0.25
_NODES_BETWEEN_LOOKS: Final = 16


class NoValue(Undefined):
    """What a path yields that leads nowhere or to null: false, empty, and an error where it is to be put out."""

    def __str__(self) -> NoReturn:
        raise MissingVariable(self.name)


class BoundedContext(RenderContext):
    """A render context without ambient values that keeps count of what rendering costs."""

    __slots__ = ("_deadline", "_nodes", "iterations", "work")

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        self._nodes = 0
        self._deadline = thread_time() + MAX_PROCESSOR_SECONDS
        self.iterations = 0
        self.work = 0
        super().__init__(template, **options)
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)

    @property
    def disabled_tags(self) -> list[str]:
        """Asked before every node is rendered, and so where nodes are counted."""
        self._nodes += 1
        if self._nodes % _NODES_BETWEEN_LOOKS == 0 and (self._nodes > MAX_NODES or thread_time() > self._deadline):
            raise TemplateLimitExceeded("The template takes too long to render")
        return []

    @disabled_tags.setter
    def disabled_tags(self, _tags: list[str]) -> None:
        """No tag is disabled while rendering: those that may not be used are unknown."""

    def get(self, path: list[object], **options: Any) -> object:
        found = super().get(path, **options)
        if found is None or isinstance(found, Undefined):
            return NoValue(".".join(str(segment) for segment in path), token=options.get("token"))
        if isinstance(found, str):
            self.spend(len(found))
        return found

    def spend(self, size: int) -> None:
        """Pay for work on `size` characters or items."""
        self.work += size
        if self.work > MAX_WORK:
            raise TemplateLimitExceeded("The template takes too much work to render")

    def assign(self, key: str, val: Any) -> None:
        self.spend(len(val) if isinstance(val, str | list) else 1)
        self.locals[key] = val

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self.iterations += length
        if self.iterations > MAX_ITERATIONS:
            raise TemplateLimitExceeded(f"A template has at most {MAX_ITERATIONS:,} repetitions in its loops")


class BoundedTemplate(BoundTemplate):
    """A parsed template that renders in a `BoundedContext`."""

    context_class = BoundedContext


class OutputNode(output.OutputNode):
    """`{{ … }}`, with values turned into text our way."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        if isinstance(value, Undefined):
            raise MissingVariable(value.name)
        return buffer.write(text_of(value, escape_html=context.autoescape))


class Output(output.Output):
    """The pseudo tag behind `{{ … }}`."""

    node_class = OutputNode


class BoundedLoop(LoopExpression):
    """What a loop runs over; refused for its length before anything copies or skips along it."""

    __slots__ = ()

    def _to_iter(self, obj: object, context: RenderContext) -> tuple[Iterator[Any], int]:
        if isinstance(obj, range) and obj[MAX_ITERATIONS:]:
            raise TemplateLimitExceeded(f"A template has at most {MAX_ITERATIONS:,} repetitions in its loops")
        iterator, length = super()._to_iter(obj, context)
        return iterator, length


class ForTag(for_tag.ForTag):
    """`{% for … %}` over a `BoundedLoop`."""

    def parse(self, stream: TokenStream) -> Any:
        node: Any = super().parse(stream)
        loop = node.expression
        node.expression = BoundedLoop(
            loop.token,
            loop.identifier,
            loop.iterable,
            limit=loop.limit,
            offset=loop.offset,
            reversed_=loop.reversed,
            cols=loop.cols,
        )
        return node


class BoundedEnvironment(Environment):
    """Liquid with the tags and filters that are allowed, and no others."""

    template_class = BoundedTemplate
    output_stream_limit = MAX_OUTPUT_BYTES
    block_nesting_limit = 20

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        for tag in (
            content.Literal,
            Output,
            illegal.Illegal,
            if_tag.IfTag,
            unless_tag.UnlessTag,
            case_tag.CaseTag,
            ForTag,
            for_tag.BreakTag,
            for_tag.ContinueTag,
            assign_tag.AssignTag,
            capture_tag.CaptureTag,
            cycle_tag.CycleTag,
            comment_tag.CommentTag,
            inline_comment_tag.InlineCommentTag,
        ):
            self.add_tag(tag)
        for name, function in filters.ALLOWED.items():
            self.add_filter(name, filters.bounded(name, function, BoundedContext.spend))


_PLAIN: Final = BoundedEnvironment(undefined=NoValue, autoescape=False)
_HTML: Final = BoundedEnvironment(undefined=NoValue, autoescape=True)


def environment(*, escape_html: bool) -> Environment:
    """Return the shared environment for templates that do, or do not, escape their values for HTML."""
    return _HTML if escape_html else _PLAIN
