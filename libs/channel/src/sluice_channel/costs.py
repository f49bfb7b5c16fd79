"""What a message is estimated to cost, in millionths of a US dollar: whole numbers, so that sums are exact."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

from sluice_contracts.vocabulary import Category, Channel

ANY_COUNTRY: Final = "*"


class PriceList:
    """The prices of one provider account: its own where it states any, the defaults otherwise.

    `stated` is the account's `config["prices"]`: for SMS and email `{country: micros}`, for WhatsApp
    `{category: {country: micros}}`; the country "*" is any other.
    """

    def __init__(self, channel: Channel, stated: Mapping[str, Any] | None = None) -> None:
        self._default = defaults()[channel]
        self._stated = stated or {}
        self._by_category = channel is Channel.WHATSAPP

    def price(self, country: str | None, category: Category) -> int:
        """Return the price of one segment, email or conversation message to `country` (ISO 3166, None: unknown)."""
        kind = Category.UTILITY if category is Category.TRANSACTIONAL else category
        for table in (self._stated, self._default):
            prices = table.get(kind, {}) if self._by_category else table
            price = prices.get(country or ANY_COUNTRY, prices.get(ANY_COUNTRY))
            if price is not None:
                return int(price)
        return 0


@cache
def defaults() -> dict[str, Any]:
    """Return the default prices by channel."""
    return tomllib.loads(resources.files("sluice_channel").joinpath("data/prices.toml").read_text())
