"""Which variant of a template a person gets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sluice_catalog.models import TemplateVariant, TemplateVersion
from sluice_contracts.sentences import FILTER_SENTENCES
from sluice_contracts.vocabulary import Channel, FilterCode

_CHANNEL_NAMES: Final = {Channel.SMS: "SMS", Channel.EMAIL: "Email", Channel.WHATSAPP: "WhatsApp"}


@dataclass(frozen=True, slots=True)
class VariantProblem:
    """Why there is none: the gate that the job fails, with its sentence."""

    code: FilterCode
    sentence: str


def choose(template: TemplateVersion, country: str | None, locale: str | None) -> TemplateVariant | VariantProblem:
    """Return the approved variant that fits best, or why there is none.

    The order is: country and locale, country, locale (`fr-CA`, then `fr`), default. `country` is the phone number's, or
    for email the locale's region (`country_of`). Approved variants are asked first; where only others would fit, the
    template is not approved.
    """
    approved = (variant for variant in template.variants if variant.approval == "approved")
    best = _best(approved, country, locale)
    if best is not None:
        return best
    if _best(template.variants, country, locale) is not None:
        return VariantProblem(FilterCode.TEMPLATE_NOT_APPROVED, FILTER_SENTENCES[FilterCode.TEMPLATE_NOT_APPROVED])
    channel = _CHANNEL_NAMES[template.channel]
    return VariantProblem(
        FilterCode.NO_TEMPLATE_FOR_COUNTRY, f"No approved {channel} template for country: {country or 'unknown'}"
    )


def country_of(locale: str | None) -> str | None:
    """Return the region of a locale (`fr-CA` → `CA`, `zh-Hant-TW` → `TW`), None where it names none."""
    for subtag in (locale or "").replace("_", "-").split("-")[1:]:
        if len(subtag) == 2 and subtag.isalpha():
            return subtag.upper()
    return None


def normalise_locale(locale: str) -> str:
    """Return a locale as it is compared: `-` between subtags, cased as BCP 47 recommends (`pt_br` → `pt-BR`)."""
    language, *rest = locale.replace("_", "-").split("-")
    cased = [subtag.upper() if len(subtag) == 2 else subtag.title() if len(subtag) == 4 else subtag for subtag in rest]
    return "-".join([language.lower(), *cased])


def _best(variants: Iterable[TemplateVariant], country: str | None, locale: str | None) -> TemplateVariant | None:
    locales = _widening(locale)
    best: tuple[int, int] | None = None
    chosen = None
    for variant in variants:
        rank = _rank(variant, country, locales)
        if rank is not None and (best is None or rank < best):
            best, chosen = rank, variant
    return chosen


def _rank(variant: TemplateVariant, country: str | None, locales: list[str]) -> tuple[int, int] | None:
    """Return how well a variant fits, lower being better; None where it does not."""
    if variant.country is not None and variant.country != country:
        return None
    if variant.locale is None:
        return (1, 0) if variant.country is not None else (3, 0)
    wanted = normalise_locale(variant.locale)
    if wanted not in locales:
        return None
    return (0 if variant.country is not None else 2), locales.index(wanted)


def _widening(locale: str | None) -> list[str]:
    """Return a locale and what it is a case of: `zh-Hant-TW`, `zh-Hant`, `zh`."""
    if not locale:
        return []
    subtags = normalise_locale(locale).split("-")
    return ["-".join(subtags[:length]) for length in range(len(subtags), 0, -1)]
