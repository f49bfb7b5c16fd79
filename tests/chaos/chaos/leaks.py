"""Personal data and secrets in log files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from chaos.history import Leak

_DIGITS: Final = re.compile(r"(?:(?<![0-9a-zA-Z.-])|%2[Bb])(\d{8,15})(?![0-9a-zA-Z])")
_MAIL: Final = re.compile(r"[\w.+%-]+(?:@|%40)[\w-]+\.[\w.-]+")
_EVENT: Final = re.compile(r'"event":\s*"([\w.]+)"')


@dataclass(frozen=True, slots=True)
class Known:
    """What must not be in a log. Numbers are digits alone; `words` are strings unlike anything else."""

    phones: frozenset[str]
    mails: frozenset[str]
    codes: frozenset[str]
    words: frozenset[str]


def leaks(file: str, lines: Iterable[str], known: Known) -> Iterator[Leak]:
    """Yield what of `known` is in the lines of `file`, one for each line and kind."""
    word = re.compile("|".join(re.escape(each) for each in sorted(known.words))) if known.words else None
    for number, line in enumerate(lines, start=1):
        for kind in _kinds(line, known, word):
            event = _EVENT.search(line)
            yield Leak(file, number, kind, event[1] if event else "no event")


def _kinds(line: str, known: Known, word: re.Pattern[str] | None) -> Iterator[str]:
    digits = set(_DIGITS.findall(line))
    if digits & known.phones:
        yield "a telephone number"
    if digits & known.codes:
        yield "a code"
    if any(found.replace("%40", "@").lower() in known.mails for found in _MAIL.findall(line)):
        yield "an email address"
    if word is not None and word.search(line):
        yield "a name or a key"
