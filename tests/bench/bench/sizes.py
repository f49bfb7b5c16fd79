"""How much is measured. Everything can be set by an environment variable of the same name in capitals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Sizes:
    """`round_seconds` is how long one round of load lasts; the rest are counts.

    `contacts` is the audience of a broadcast, `mails` of an SMTP campaign, `jobs` the rows that are polled among,
    `events` what is folded, `happenings` the events that start workflows, `waits` how many people wait for one,
    `connections` how many callers wait for an answer at a time, `ingest_copies` how many processes take requests in
    where that is also measured of more than one.
    """

    round_seconds: float = 6.0
    rounds: int = 3
    connections: int = 64
    ingest_copies: int = 2
    contacts: int = 200_000
    mails: int = 50_000
    jobs: int = 1_000_000
    events: int = 400_000
    codes: int = 300
    happenings: int = 20_000
    waits: int = 100_000


QUICK = Sizes(
    round_seconds=2.0, rounds=1, contacts=5_000, mails=3_000, jobs=20_000, events=40_000, codes=40,
    happenings=1_000, waits=2_000,
)  # fmt: skip
"""Enough to see that all of it works, and for figures of the right order."""


def sizes_from(environment: Mapping[str, str]) -> Sizes:
    """Return the sizes that `environment` asks for: those of `QUICK` where QUICK is set, each by its own name."""
    sizes = QUICK if environment.get("QUICK", "") not in {"", "0"} else Sizes()
    given = {field.name: environment.get(field.name.upper(), "") for field in fields(Sizes)}
    numbers = {name: float(text) if name == "round_seconds" else int(text) for name, text in given.items() if text}
    return replace(sizes, **numbers)  # type: ignore[arg-type]
