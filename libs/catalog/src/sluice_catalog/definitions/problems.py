"""Why a definition cannot be written or read, in words for whoever asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class DefinitionProblem(Exception):  # noqa: N818 - findings about a request, not failures of ours
    """Any of the below."""


class NotThere(DefinitionProblem):
    """There is no such thing, or it is another workspace's: nobody can tell the two apart."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        super().__init__(f"There is no such {noun}")


class TakenKey(DefinitionProblem):
    """Something else of this workspace has this key, name or external id already."""

    def __init__(self, noun: str, field: str) -> None:
        self.noun = noun
        self.field = field
        super().__init__(f"Another {noun} has this {field}")


class OutdatedRevision(DefinitionProblem):
    """The thing has changed since the revision that the caller knows."""

    def __init__(self, current: int) -> None:
        self.current = current
        super().__init__(f"It has changed meanwhile; its revision is {current} now")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field; `field` is a dotted path with list indexes."""

    field: str
    message: str


class InvalidDefinition(DefinitionProblem):
    """The definition does not hold together, by itself or with what else there is."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
