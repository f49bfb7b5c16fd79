"""Addresses in the one form in which they are stored, compared and sent to.

Parsing a phone number takes tens of microseconds: it is done when a contact is written or a bare address comes in,
never again when a message is sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import phonenumbers

_MAX_PHONE_LENGTH: Final = 40
_MAX_EMAIL_LENGTH: Final = 254
_MAX_LOCAL_LENGTH: Final = 64
_LOCAL_PART: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])")
_SHARED_CALLING_CODE: Final = "001"


@dataclass(frozen=True, slots=True)
class Phone:
    """A valid phone number in E.164, and the ISO 3166 alpha-2 country it belongs to (None: no country's)."""

    e164: str
    country: str | None


@lru_cache(maxsize=65_536)
def normalise_phone(text: str, default_country: str | None = None) -> Phone | None:
    """Read a phone number as a person writes it; without `+` it is a number of `default_country`.

    None when it is not a valid number.
    """
    if len(text) > _MAX_PHONE_LENGTH:
        return None
    try:
        number = phonenumbers.parse(text, default_country)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    region = phonenumbers.region_code_for_number(number)
    return Phone(
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        None if region == _SHARED_CALLING_CODE else region,
    )


def normalise_email(text: str) -> str | None:
    """Return an email address in lower case, its domain in ASCII (IDNA); None when it is not one.

    Quoted local parts, address literals and local parts beyond ASCII are refused: RFC 5321 allows them and too many
    servers do not.
    """
    local, separator, domain = text.strip().lower().rpartition("@")
    if not separator or len(local) > _MAX_LOCAL_LENGTH or not _LOCAL_PART.fullmatch(local):
        return None
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return None
    address = f"{local}@{domain}"
    if len(address) > _MAX_EMAIL_LENGTH or not _DOMAIN.fullmatch(domain):
        return None
    return address


def known_country(text: str) -> bool:
    """Whether `text` is an ISO 3166 alpha-2 code, in capitals, of a country with telephones."""
    return text in phonenumbers.SUPPORTED_REGIONS
