"""What became of the faults of a run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """How often a fault was done, to how many processes, for how long.

    `remarks` say what cannot be done on this machine, `failures` what should have been done and was not.
    """

    times: int = 0
    kills: int = 0
    seconds: float = 0.0
    remarks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
