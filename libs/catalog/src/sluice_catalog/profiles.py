"""Profiles that come along with requests: brought into the form in which contacts are kept, and kept in one statement.

Nobody can be told any more what is wrong with a profile when it is kept, so what cannot be used is left out: an address
that is none, an unknown time zone, a character that no text may hold. The doors say so where they take the request in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import available_timezones

from sluice_catalog.addresses import normalise_email, normalise_phone
from sluice_catalog.definitions.contact import MOST_ATTRIBUTE_BYTES, MOST_TAGS
from sluice_catalog.variants import normalise_locale
from sluice_contracts.identifiers import new_id
from sluice_contracts.messages.profile import ContactProfile
from sluice_storage import statements
from sluice_storage.database import Database, encode_json

_LONGEST_EXTERNAL_ID: Final = 255
_LONGEST_NAME: Final = 200
_LONGEST_TAG: Final = 100
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,4}")
_PLAIN: Final = ("email", "phone_number", "country", "locale", "timezone", "name", "first_name", "last_name")
_statements = statements.load("sluice_catalog", "profiles.sql")


@dataclass(frozen=True, slots=True)
class GivenProfile:
    """A profile with what it belongs to. `accepted_at` is when the request that brought it was accepted."""

    workspace_id: UUID
    accepted_at: datetime
    profile: ContactProfile


@dataclass(frozen=True, slots=True)
class KeptProfile:
    """A profile as it is kept; None stands for what was not said or cannot be used."""

    workspace_id: UUID
    external_id: str
    accepted_at: datetime
    email: str | None
    phone_number: str | None
    country: str | None
    locale: str | None
    timezone: str | None
    name: str | None
    first_name: str | None
    last_name: str | None
    tags: tuple[str, ...]
    attributes: Mapping[str, Any]


def kept_form(given: GivenProfile, default_country: str | None) -> KeptProfile | None:
    """Return `given` with its addresses normalised; `default_country` completes phone numbers without a country.

    None where its external id can be nobody's.
    """
    profile = given.profile.model_copy(update=_without_nul(given.profile.model_dump()))
    if profile.external_id != given.profile.external_id or not 0 < len(profile.external_id) <= _LONGEST_EXTERNAL_ID:
        return None
    phone = normalise_phone(profile.phone_number, default_country) if profile.phone_number else None
    tags = dict.fromkeys(tag.strip()[:_LONGEST_TAG] for tag in profile.tags if tag.strip())
    attributes = {name: value for name, value in profile.attributes.items() if value is not None}
    return KeptProfile(
        workspace_id=given.workspace_id,
        external_id=profile.external_id,
        accepted_at=given.accepted_at,
        email=normalise_email(profile.email) if profile.email else None,
        phone_number=None if phone is None else phone.e164,
        country=None if phone is None else phone.country,
        locale=_locale(profile.locale),
        timezone=profile.timezone if profile.timezone in available_timezones() else None,
        name=_name(profile.name),
        first_name=_name(profile.first_name),
        last_name=_name(profile.last_name),
        tags=tuple(tags)[:MOST_TAGS],
        attributes=attributes if len(encode_json(attributes)) <= MOST_ATTRIBUTE_BYTES else {},
    )


def each_contact_once(profiles: Iterable[KeptProfile]) -> list[KeptProfile]:
    """Return one profile a contact: what the later accepted says goes before what the earlier does."""
    whole: dict[tuple[UUID, str], KeptProfile] = {}
    for profile in sorted(profiles, key=lambda item: item.accepted_at):
        key = (profile.workspace_id, profile.external_id)
        earlier = whole.get(key)
        whole[key] = profile if earlier is None else _over(earlier, profile)
    return [whole[key] for key in sorted(whole)]


async def keep(database: Database, profiles: Sequence[KeptProfile], now: datetime) -> int:
    """Write profiles, each contact once, in one statement; return how many contacts it made or changed.

    The same profile again changes nothing, and none overwrites what was said or changed after it was accepted.
    """
    if not profiles:
        return 0
    async with database.connection() as connection:
        changed = await connection.fetchval(
            _statements.keep_profiles,
            [profile.workspace_id for profile in profiles],
            [new_id(now.timestamp()) for _ in profiles],
            [profile.external_id for profile in profiles],
            [profile.accepted_at for profile in profiles],
            *([getattr(profile, name) for profile in profiles] for name in _PLAIN),
            [encode_json(profile.tags) for profile in profiles],
            [encode_json(profile.attributes) for profile in profiles],
            now,
            MOST_TAGS,
            MOST_ATTRIBUTE_BYTES,
        )
    return int(changed)


async def owners(database: Database, profiles: Sequence[KeptProfile]) -> dict[tuple[UUID, str], str]:
    """Return the external ids of those who have the addresses of `profiles`, by workspace and the id that was given.

    Profiles whose own external id somebody has, and those whose addresses nobody has, are left out.
    """
    async with database.connection() as connection:
        found = await connection.fetch(
            _statements.owners_of_addresses,
            [profile.workspace_id for profile in profiles],
            [profile.external_id for profile in profiles],
            [profile.phone_number for profile in profiles],
            [profile.email for profile in profiles],
        )
    return {(row["workspace_id"], row["external_id"]): row["owner"] for row in found}


def _over(earlier: KeptProfile, later: KeptProfile) -> KeptProfile:
    said = {name: value for name in _PLAIN if (value := getattr(later, name)) is not None}
    if later.phone_number is not None:
        said["country"] = later.country
    return replace(
        earlier,
        **said,
        accepted_at=later.accepted_at,
        tags=tuple(dict.fromkeys((*earlier.tags, *later.tags)))[:MOST_TAGS],
        attributes={**earlier.attributes, **later.attributes},
    )


def _without_nul(value: Any) -> Any:
    """Return JSON without the one character that PostgreSQL's texts cannot hold."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(item) for name, item in value.items()}
    return value


def _name(text: str | None) -> str | None:
    return text[:_LONGEST_NAME] if text else None


def _locale(text: str | None) -> str | None:
    return normalise_locale(text) if text and _LOCALE.fullmatch(text) else None
