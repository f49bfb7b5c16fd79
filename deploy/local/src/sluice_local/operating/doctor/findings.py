"""What a check may say."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong: with which thing, what, and what to do about it."""

    thing: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.thing}: {self.problem} → {self.remedy}"


@dataclass(slots=True)
class Examination:
    """What one check found. `notes` are worth knowing and no fault; `healthy` says in a few words what is well."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    healthy: list[str] = field(default_factory=list)

    def find(self, thing: str, problem: str, remedy: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(thing, problem, remedy))
