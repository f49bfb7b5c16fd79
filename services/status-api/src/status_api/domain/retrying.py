"""Asking for failed jobs to be tried again, page by page, without holding all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from sluice_contracts.identifiers import page_of


def whole_pages(positions: Sequence[int], *, last: bool) -> tuple[list[tuple[int, list[int]]], list[int]]:
    """Group ascending `positions` by page; return the pages that are whole, and what is left for the next portion.

    A request for a page names all of its failed jobs at once: a second one for the same page and epoch would be taken
    for a repeat. So the page at the end waits, unless these are the `last` positions.
    """
    pages = [(page, list(seqs)) for page, seqs in _by_page(positions)]
    if last or not pages:
        return pages, []
    return pages[:-1], pages[-1][1]


def _by_page(positions: Sequence[int]) -> Iterator[tuple[int, Iterator[int]]]:
    return groupby(positions, key=page_of)
