from __future__ import annotations

import re

from prometheus_client import Counter, Histogram

from sluice_runtime import metrics


def test_every_metric_has_a_meaning_and_advice() -> None:
    for metric in metrics.catalogue():
        assert metric.documentation.endswith(".")
        assert metric.advice.endswith(".")


def test_names_say_what_is_counted_and_in_which_unit() -> None:
    for metric in metrics.catalogue():
        assert re.fullmatch(r"sluice_[a-z_]+", metric.name)
        if metric.kind is Counter:
            assert metric.name.endswith("_total")
        if metric.kind is Histogram:
            assert metric.name.endswith("_seconds")


def test_no_two_metrics_share_a_name() -> None:
    names = [metric.name for metric in metrics.catalogue()]
    assert len(names) == len(set(names)) > 20


def test_no_label_can_take_endless_values() -> None:
    labels = {label for metric in metrics.catalogue() for label in metric.labels}
    assert labels.isdisjoint({"trigger_id", "contact_id", "address", "path", "workspace_id", "execution_id"})
