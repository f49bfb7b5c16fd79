"""What a measurement comes to: a figure beside its limit, the table for people, and the JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_COLUMNS: Final = ("name", "value", "unit", "p99 ms", "limit", "ratio", "peak MB", "beside")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    `limit` is in the same unit, measured in the same run, and `limit_name` says what it is. `p99_ms` is the 99th
    percentile of what the value is about, where that is a latency. `peak_rss_mb` is that of the largest of the
    services' processes. `detail` holds whatever else was seen: CPU seconds by process, say.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str = ""
    p99_ms: float | None = None
    peak_rss_mb: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The value by the limit; None where there is no limit to divide by."""
        return self.value / self.limit if self.limit else None

    def document(self) -> dict[str, Any]:
        """Return the figure as it stands in `bench.json`."""
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "p99_ms": _rounded(self.p99_ms),
            "limit": _rounded(self.limit),
            "limit_name": self.limit_name,
            "ratio": _rounded(self.ratio),
            "peak_rss_mb": _rounded(self.peak_rss_mb),
            "detail": dict(self.detail),
        }


def named(name: str, copies: int) -> str:
    """Return what a figure is called that so many processes reached together."""
    return name if copies == 1 else f"{name} by {copies}"


def missing(name: str, unit: str, reason: str) -> Figure:
    """Return the figure of something that could not be run here, and why."""
    return Figure(name, math.nan, unit, limit_name=f"not run: {reason}")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of `values` that at least `share` (0 < share ≤ 1) of them do not exceed.

    Raises ValueError where there are none.
    """
    if not values:
        raise ValueError("no values")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def median(values: Sequence[float]) -> float:
    """Return the middle one of `values`, of two the lower."""
    return percentile(values, 0.5)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as lines of aligned columns."""
    rows = [_COLUMNS, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in {0, 2, 7} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def to_json(figures: Sequence[Figure]) -> str:
    """Return the content of `bench.json`: a list with one object a figure."""
    return json.dumps([figure.document() for figure in figures], indent=2) + "\n"


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        _shown(figure.value),
        figure.unit,
        _shown(figure.p99_ms),
        _shown(figure.limit),
        _shown(figure.ratio),
        _shown(figure.peak_rss_mb),
        figure.limit_name,
    )


def _shown(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def _rounded(value: float | None) -> float | None:
    if value is None or math.isnan(value):
        return None
    return round(value, 3 if abs(value) < 100 else 1)
