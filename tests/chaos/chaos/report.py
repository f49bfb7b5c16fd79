"""What a run prints: a table of the faults, the findings, and one line at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chaos.checker import Verdict
from chaos.findings import Kind
from chaos.tally import Tally

_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """One seed: what was done and what was found."""

    seed: int
    tallies: Mapping[str, Tally]
    verdict: Verdict

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(tally.kills for tally in self.tallies.values())

    @property
    def failures(self) -> Sequence[str]:
        """Which faults should have been done and could not be."""
        return [f"{name}: {each}" for name, tally in self.tallies.items() for each in tally.failures]

    @property
    def is_clean(self) -> bool:
        """Whether every fault was done, and every promise kept."""
        return self.verdict.is_clean and not self.failures

    @property
    def faults(self) -> int:
        """How many faults were done."""
        return sum(tally.times for tally in self.tallies.values())


def table(tallies: Mapping[str, Tally]) -> Iterable[str]:
    """Yield the lines of a table of the faults."""
    width = max(map(len, tallies), default=5)
    yield f"{'fault':{width}}  times  kills  seconds"
    for name, tally in sorted(tallies.items()):
        remarks = "; ".join([*tally.remarks, *(f"FAILED: {failure}" for failure in tally.failures)])
        yield f"{name:{width}}  {tally.times:5}  {tally.kills:5}  {tally.seconds:7.1f}  {remarks}".rstrip()


def findings(verdict: Verdict) -> Iterable[str]:
    """Yield what was found, and how much is left out."""
    for finding in verdict.findings[:_SHOWN]:
        yield f"  {finding.kind}: {finding.what}"
    if len(verdict.findings) > _SHOWN:
        yield f"  … and {len(verdict.findings) - _SHOWN} more"
    if verdict.excess:
        yield f"  uncertain: {verdict.excess} jobs more than the kills of their workers can explain"
    if not verdict.messages:
        yield "  nobody was sent anything: this run says nothing"


def last_line(outcomes: Sequence[Outcome]) -> str:
    """Return the one line that says it all."""
    figures = {
        "kills": sum(outcome.kills for outcome in outcomes),
        "faults": sum(outcome.faults for outcome in outcomes),
        "triggers": sum(outcome.verdict.triggers for outcome in outcomes),
        "messages": sum(outcome.verdict.messages for outcome in outcomes),
        "uncertain": sum(outcome.verdict.uncertain for outcome in outcomes),
        **{kind.value: sum(outcome.verdict.count(kind) for outcome in outcomes) for kind in Kind},
    }
    return "chaos: " + " ".join(f"{name}={value}" for name, value in figures.items())
