"""How far a trigger is, read from the bodies of the status API, without I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

FINAL: Final = frozenset({"completed", "failed", "cancelled"})
_ANALYTICS: Final = (
    "delivered",
    "read",
    "opened",
    "clicked",
    "replied",
    "bounced",
    "failed",
    "complained",
    "unsubscribed",
    "awaiting_receipt",
)


@dataclass(frozen=True, slots=True)
class ExecutionProgress:
    """One channel of one step: how many jobs there are, and how many ended how."""

    label: str
    status: str
    total: int = 0
    sent: int = 0
    failed: int = 0
    filtered: int = 0
    cancelled: int = 0
    analytics: Mapping[str, int] | None = None
    filter_reasons: tuple[tuple[str, int], ...] = ()

    @property
    def done(self) -> int:
        """How many jobs are no longer open."""
        return self.sent + self.failed + self.filtered + self.cancelled

    @property
    def awaiting_receipt(self) -> int:
        """How many accepted messages the provider has said nothing more about."""
        return (self.analytics or {}).get("awaiting_receipt", 0)

    def outcome(self) -> str:
        """Return the counters that are not zero, in words."""
        counts = {"sent": self.sent, "failed": self.failed, "filtered": self.filtered, "cancelled": self.cancelled}
        later = {name: (self.analytics or {}).get(name, 0) for name in _ANALYTICS}
        later["failed later"] = later.pop("failed")
        later["awaiting receipt"] = later.pop("awaiting_receipt")
        shown = [f"{number} {name}" for name, number in {**counts, **later}.items() if number]
        return ", ".join(shown) or "-"


def executions(details: Mapping[str, Any]) -> Iterator[ExecutionProgress]:
    """Yield every execution of a `/direct` or `/workflow` body, in order."""
    if "steps" in details:
        for step in details["steps"]:
            yield _execution(f"{step['step_order']}. {step['step_name']} ({step['channel']})", step, step["status"])
    elif "channels" in details:
        for channel, part in details["channels"].items():
            yield _execution(channel, part, "pending")
    else:
        yield _execution(details["channel"], details, "pending")


def _execution(label: str, part: Mapping[str, Any], otherwise: str) -> ExecutionProgress:
    execution, jobs = part.get("execution") or {}, part.get("jobs") or {}
    return ExecutionProgress(
        label=label,
        status=execution.get("status") or otherwise,
        total=jobs.get("total") or 0,
        sent=jobs.get("sent") or 0,
        failed=jobs.get("failed") or 0,
        filtered=jobs.get("filtered") or 0,
        cancelled=jobs.get("cancelled") or 0,
        analytics=part.get("analytics"),
        filter_reasons=tuple((reason["reason"], reason["count"]) for reason in jobs.get("filter_reasons") or []),
    )
