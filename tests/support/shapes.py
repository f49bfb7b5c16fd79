"""Holding a JSON answer against a documented example: the same keys in the same order, the same JSON types."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def assert_shape(actual: Any, documented: Any, additions: Collection[str] = (), at: str = "$") -> None:
    """Fail where `actual` differs from `documented` in keys, their order or types.

    `additions` are the keys that the answer may have besides. A list is compared by its first entries; a documented
    None asks for null. An integer in the example asks for an integer, a number with a point for a float, as Python's
    parser tells them apart.
    """
    if isinstance(documented, dict):
        assert isinstance(actual, dict), f"{at} is {actual!r}, not an object"
        missing = [key for key in documented if key not in actual]
        assert not missing, f"{at} lacks {missing}"
        unknown = [key for key in actual if key not in documented and key not in additions]
        assert not unknown, f"{at} has {unknown}, which nobody documents"
        in_order = [key for key in actual if key in documented]
        assert in_order == list(documented), f"{at} has its keys in the order {in_order}"
        for key, value in documented.items():
            assert_shape(actual[key], value, additions, f"{at}.{key}")
    elif isinstance(documented, list):
        assert isinstance(actual, list), f"{at} is {actual!r}, not a list"
        for place, (value, example) in enumerate(zip(actual, documented, strict=False)):
            assert_shape(value, example, additions, f"{at}[{place}]")
        assert len(actual) >= min(len(documented), 1), f"{at} is empty"
    else:
        assert type(actual) is type(documented), f"{at} is {actual!r}, documented as {documented!r}"
