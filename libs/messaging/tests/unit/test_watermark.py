"""The watermark, whatever the order in which records finish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_messaging.errors import OffsetOrderError
from sluice_messaging.watermark import Watermark

OFFSETS = st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True).map(sorted)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Draw a run in which records begin in order, and those begun finish in any order; some never do."""
    waiting = list(draw(OFFSETS))
    begun: list[int] = []
    history = []
    while waiting or begun:
        if waiting and (not begun or draw(st.booleans())):
            begun.append(waiting.pop(0))
            history.append(("begin", begun[-1]))
        elif not draw(st.integers(0, 20)):
            break
        else:
            history.append(("finish", begun.pop(draw(st.integers(0, len(begun) - 1)))))
    return history


@given(histories())
def test_what_is_committable_never_passes_an_unfinished_offset_and_never_goes_back(
    history: list[tuple[str, int]],
) -> None:
    watermark = Watermark()
    unfinished: set[int] = set()
    finished: set[int] = set()
    before = -1
    for step, offset in history:
        if step == "begin":
            watermark.begin(offset)
            unfinished.add(offset)
        else:
            watermark.finish(offset)
            unfinished.discard(offset)
            finished.add(offset)
        now = -1 if watermark.committable is None else watermark.committable
        assert now >= before
        assert all(offset >= now for offset in unfinished)
        prefix = [each for each in finished if all(each < other for other in unfinished)]
        assert now == (max(prefix) + 1 if prefix else -1)
        assert watermark.in_flight == len(unfinished)
        assert watermark.oldest == min(unfinished, default=None)
        before = now


@given(OFFSETS, st.randoms())
def test_when_all_is_finished_the_next_offset_is_committable(offsets: list[int], random: object) -> None:
    watermark = Watermark()
    for offset in offsets:
        watermark.begin(offset)
    assert watermark.distance == offsets[-1] - offsets[0] + 1
    shuffled = list(offsets)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for offset in shuffled:
        watermark.finish(offset)
    assert watermark.committable == offsets[-1] + 1
    assert watermark.distance == 0


def test_an_offset_that_does_not_come_after_the_last_is_refused() -> None:
    watermark = Watermark()
    watermark.begin(7)
    with pytest.raises(OffsetOrderError):
        watermark.begin(7)
    with pytest.raises(OffsetOrderError):
        watermark.begin(3)


def test_nothing_is_committable_before_anything_is_finished() -> None:
    watermark = Watermark()
    watermark.begin(5)
    assert watermark.committable is None
