"""Which variant a person gets."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_catalog.models import ApprovalStatus, TemplateVariant, TemplateVersion
from sluice_catalog.variants import VariantProblem, choose, country_of, normalise_locale
from sluice_contracts.vocabulary import Category, Channel, FilterCode


def variant(country: str | None, locale: str | None, approval: ApprovalStatus = "approved") -> TemplateVariant:
    return TemplateVariant(country, locale, approval, {"text": f"{country} {locale}"})


def template(*variants: TemplateVariant, channel: Channel = Channel.SMS) -> TemplateVersion:
    return TemplateVersion(UUID(int=1), UUID(int=2), 1, "key", "name", channel, Category.TRANSACTIONAL, variants)


EVERY = (
    variant(None, None),
    variant(None, "fr"),
    variant(None, "fr-CA"),
    variant("CA", None),
    variant("CA", "fr"),
    variant("CA", "fr-CA"),
)


@pytest.mark.parametrize(
    ("country", "locale", "expected"),
    [
        ("CA", "fr-CA", ("CA", "fr-CA")),
        ("CA", "fr-FR", ("CA", "fr")),
        ("CA", "en", ("CA", None)),
        ("CA", None, ("CA", None)),
        ("FR", "fr_ca", (None, "fr-CA")),
        ("FR", "fr-FR", (None, "fr")),
        ("FR", "FR", (None, "fr")),
        ("US", "en-US", (None, None)),
        (None, None, (None, None)),
    ],
)
def test_the_best_fitting_variant_is_chosen(
    country: str | None, locale: str | None, expected: tuple[str | None, str | None]
) -> None:
    for variants in (EVERY, EVERY[::-1]):
        chosen = choose(template(*variants), country, locale)
        assert isinstance(chosen, TemplateVariant)
        assert (chosen.country, chosen.locale) == expected


@pytest.mark.parametrize(
    ("channel", "word"), [(Channel.SMS, "SMS"), (Channel.EMAIL, "Email"), (Channel.WHATSAPP, "WhatsApp")]
)
def test_none_that_fits_is_said_with_the_country(channel: Channel, word: str) -> None:
    assert choose(template(variant("US", None), channel=channel), "IN", None) == VariantProblem(
        FilterCode.NO_TEMPLATE_FOR_COUNTRY, f"No approved {word} template for country: IN"
    )


def test_an_approved_variant_goes_before_one_that_fits_better() -> None:
    chosen = choose(template(variant("CA", "fr", "submitted"), variant(None, None)), "CA", "fr")
    assert chosen == variant(None, None)


def test_where_only_unapproved_ones_fit_the_template_is_not_approved() -> None:
    for approval in ("draft", "submitted", "rejected", "paused"):
        problem = choose(template(variant("CA", None, approval), variant("US", None)), "CA", None)
        assert isinstance(problem, VariantProblem)
        assert problem.code is FilterCode.TEMPLATE_NOT_APPROVED


countries = st.none() | st.sampled_from(["CA", "US", "IN"])
locales = st.none() | st.sampled_from(["fr", "fr-CA", "en", "en-US", "zh-Hant-TW", "zh"])
approvals = st.sampled_from(["approved", "draft", "rejected"])
variants_strategy = st.lists(
    st.builds(variant, countries, locales, approvals), max_size=8, unique_by=lambda one: (one.country, one.locale)
)


def fits(one: TemplateVariant, country: str | None, locale: str | None) -> bool:
    by_country = one.country is None or one.country == country
    by_locale = one.locale is None or (locale or "").split("-")[: one.locale.count("-") + 1] == one.locale.split("-")
    return by_country and by_locale


@settings(deadline=None)
@given(variants=variants_strategy, country=countries, locale=locales, order=st.randoms())
def test_the_choice_fits_is_approved_and_does_not_depend_on_the_order(
    variants: list[TemplateVariant], country: str | None, locale: str | None, order: object
) -> None:
    chosen = choose(template(*variants), country, locale)
    shuffled = list(variants)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose(template(*shuffled), country, locale) == chosen
    fitting = [one for one in variants if fits(one, country, locale)]
    if isinstance(chosen, TemplateVariant):
        assert chosen in fitting
        assert chosen.approval == "approved"
    else:
        assert not [one for one in fitting if one.approval == "approved"]
        assert (chosen.code is FilterCode.TEMPLATE_NOT_APPROVED) == bool(fitting)


@pytest.mark.parametrize(
    ("locale", "country"), [("fr-CA", "CA"), ("fr_ca", "CA"), ("zh-Hant-TW", "TW"), ("fr", None), (None, None)]
)
def test_the_country_of_a_locale_is_its_region(locale: str | None, country: str | None) -> None:
    assert country_of(locale) == country


def test_locales_are_compared_in_one_form() -> None:
    assert [normalise_locale(text) for text in ("PT_br", "zh-hant-tw", "FR")] == ["pt-BR", "zh-Hant-TW", "fr"]
