"""The pure parts of the measurements: percentiles, the table, the JSON, the sizes."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Figure, median, missing, percentile, table, to_json
from bench.sizes import QUICK, Sizes, sizes_from

ACCEPT = Figure(
    "accept", 7154.26, "requests/s", 9538.9, "bare handler", 13.5849, 91.25, {"ingest": {"cpu_us_each": 101.0}}
)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_the_99th_percentile_of_a_hundred_values_leaves_the_slowest_out() -> None:
    assert percentile([float(value) for value in range(1, 101)], 0.99) == 99


def test_the_median_of_two_is_the_lower() -> None:
    assert median([3.0, 1.0]) == 1.0


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.99)


def test_the_document_has_every_key_and_the_ratio_to_the_limit() -> None:
    (document,) = json.loads(to_json([ACCEPT]))
    assert document == {
        "name": "accept",
        "value": 7154.3,
        "unit": "requests/s",
        "p99_ms": 13.585,
        "limit": 9538.9,
        "limit_name": "bare handler",
        "ratio": 0.75,
        "peak_rss_mb": 91.25,
        "detail": {"ingest": {"cpu_us_each": 101.0}},
    }


def test_what_could_not_run_says_so_and_is_still_json() -> None:
    figure = missing("smtp", "mails/s", "smtp-sink is not here")
    (document,) = json.loads(to_json([figure]))
    assert math.isnan(figure.value)
    assert document["value"] is None
    assert document["ratio"] is None
    assert "smtp-sink is not here" in document["limit_name"]
    assert "smtp-sink is not here" in table([figure])


def test_the_columns_of_the_table_stand_below_each_other() -> None:
    other = Figure("recover", 8.25, "s", 0.0, "nothing")
    heading, first, second = table([ACCEPT, other]).splitlines()
    assert heading.index("unit") == first.index("requests/s") == second.index("s  ")
    assert "7,154" in first
    assert "8.25" in second
    assert first.endswith("bare handler")


def test_sizes_come_from_the_environment_one_by_one() -> None:
    assert sizes_from({}) == Sizes()
    assert sizes_from({"QUICK": "1"}) == QUICK
    given_sizes = sizes_from({"QUICK": "1", "CONTACTS": "7", "ROUND_SECONDS": "0.5", "COPIES": "ignored", "ROUNDS": ""})
    assert (given_sizes.contacts, given_sizes.round_seconds, given_sizes.rounds) == (7, 0.5, QUICK.rounds)
