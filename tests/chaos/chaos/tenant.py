"""A workspace of the load."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos.caller import Caller
from chaos.people import Population


@dataclass(slots=True)
class Tenant:
    """One workspace: how it calls, who is in it, and the codes that it has sent."""

    name: str
    key: str
    caller: Caller
    population: Population
    codes: set[str] = field(default_factory=set)
