"""Estimated prices."""

from __future__ import annotations

from sluice_channel.costs import PriceList, defaults
from sluice_contracts.vocabulary import Category, Channel


def test_a_country_has_its_price_and_the_rest_of_the_world_one() -> None:
    prices = PriceList(Channel.SMS)
    assert prices.price("US", Category.MARKETING) == 8300
    assert prices.price("XX", Category.MARKETING) == prices.price(None, Category.MARKETING) == 60000


def test_an_account_may_state_its_own() -> None:
    prices = PriceList(Channel.SMS, {"US": 1000})
    assert prices.price("US", Category.MARKETING) == 1000
    assert prices.price("DE", Category.MARKETING) == 104000
    assert PriceList(Channel.SMS, {"*": 5}).price("DE", Category.MARKETING) == 5


def test_whatsapp_prices_depend_on_the_category() -> None:
    prices = PriceList(Channel.WHATSAPP, {"utility": {"DE": 1}})
    assert prices.price("US", Category.MARKETING) == 25000
    assert prices.price("DE", Category.UTILITY) == prices.price("DE", Category.TRANSACTIONAL) == 1
    assert prices.price("DE", Category.AUTHENTICATION) == 55000


def test_every_price_is_a_whole_number_of_micros() -> None:
    def leaves(table: dict[str, object]) -> list[object]:
        return [leaf for value in table.values() for leaf in (leaves(value) if isinstance(value, dict) else [value])]

    assert all(type(price) is int and price >= 0 for price in leaves(defaults()))
    assert set(defaults()) == set(Channel)
