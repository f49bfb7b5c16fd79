"""How texts are cut into parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_channel.segmentation import BASIC, EXTENSION, GSM7, UCS2, measure, segment


@pytest.mark.parametrize(
    ("text", "encoding", "units"),
    [
        ("", GSM7, (0,)),
        ("a" * 160, GSM7, (160,)),
        ("a" * 161, GSM7, (153, 8)),
        ("€" * 80, GSM7, (160,)),
        ("€" * 81, GSM7, (152, 10)),
        ("Ж" * 70, UCS2, (70,)),
        ("Ж" * 71, UCS2, (67, 4)),
        ("😀" * 35, UCS2, (70,)),
        ("😀" * 36, UCS2, (66, 6)),
        ("a" * 152 + "€" + "a" * 20, GSM7, (152, 22)),
        ("😀" * 67, UCS2, (66, 66, 2)),
        ("`", UCS2, (1,)),
        ("ç", UCS2, (1,)),
        ("\t", UCS2, (1,)),
        ("Ç\f[]{}", GSM7, (11,)),
    ],
)
def test_known_texts(text: str, encoding: str, units: tuple[int, ...]) -> None:
    cut = segment(text)
    assert (cut.encoding, cut.units, cut.segments) == (encoding, units, len(units))


def test_the_alphabet_is_complete() -> None:
    assert len(BASIC) == 127, "128 characters of GSM 03.38, the escape among them"
    assert len(EXTENSION) == 10
    assert not BASIC & EXTENSION


@given(st.text(max_size=1000))
def test_every_unit_is_in_some_part_and_no_part_is_too_long(text: str) -> None:
    cut = segment(text)
    fits = set(text) <= BASIC | EXTENSION
    assert (cut.encoding == GSM7) is fits
    total = sum(1 + (c in EXTENSION) for c in text) if fits else len(text.encode("utf-16-le")) // 2
    assert sum(cut.units) == total
    single, part = (160, 153) if fits else (70, 67)
    assert len(cut.units) == 1 or max(cut.units) <= part
    assert (len(cut.units) == 1) is (total <= single)
    assert all(units >= part - 1 for units in cut.units[:-1]), (
        "a part may give up at most one unit to keep a pair whole"
    )


@given(st.text(st.sampled_from([*sorted(BASIC), "€", "Ж", "😀"]), max_size=200) | st.text(max_size=200))
def test_the_short_way_measures_what_the_long_way_does(text: str) -> None:
    assert measure(text) == (segment(text).encoding, segment(text).segments)
