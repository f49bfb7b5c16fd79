"""Why a request cannot be accepted, in words for the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrongField:
    """One field of the body and what is wrong with it."""

    field: str
    message: str


class RefusedError(Exception):
    """The request is well-formed and cannot be carried out. `status` is 422 or 409.

    `missing` says that it named something that does not exist: it may have been made a moment ago, elsewhere.
    """

    def __init__(self, wrong: Sequence[WrongField], *, status: int = 422, missing: bool = False) -> None:
        self.wrong = tuple(wrong)
        self.status = status
        self.missing = missing
        super().__init__("; ".join(f"{item.field}: {item.message}" for item in wrong))
