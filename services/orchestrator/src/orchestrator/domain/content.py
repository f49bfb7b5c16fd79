"""Which values of a contact a content refers to, so that a command carries those and no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from sluice_catalog.templating import TemplateSyntaxProblem, contact_paths, parse
from sluice_contracts.messages.content import Content, InlineEmail, InlineSms, InlineWhatsApp


def inline_references(content: Content) -> frozenset[str]:
    """Return the root paths that the texts of an inline content refer to; none for a stored template.

    A text that cannot be parsed refers to nothing here: the worker reports why.
    """
    return frozenset().union(*(_references(text) for text in _texts(content)))


def needed_paths(references: Iterable[str], variables: Mapping[str, Any]) -> list[str]:
    """Return the paths below the contact that must travel, given the variables that came with the trigger."""
    return sorted(contact_paths(references, variables))


def _texts(content: Content) -> Iterator[str]:
    match content:
        case InlineSms(text=text):
            yield text
        case InlineEmail():
            yield from (text for text in (content.subject, content.html, content.text) if text)
        case InlineWhatsApp():
            yield from (text for text in (content.body, content.text) if text)
            yield from _strings(content.components)
        case _:
            return


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


@lru_cache(maxsize=1024)
def _references(text: str) -> frozenset[str]:
    try:
        return parse(text, escape_html=False).references
    except TemplateSyntaxProblem:
        return frozenset()
