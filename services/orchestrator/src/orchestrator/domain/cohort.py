"""The people of a trigger, each at a fixed position that is the same in every step and on every channel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sluice_catalog.addresses import normalise_email, normalise_phone
from sluice_catalog.models import Contact
from sluice_contracts.identifiers import PAGE_SIZE
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients
from sluice_contracts.vocabulary import Channel


class Position(NamedTuple):
    """One place in a cohort.

    `contact_id` is None for a bare address and for an external id that nobody has. `label` is how the caller named
    the person: an external id, or an address (normalised where it is valid); None where an audience named nobody.
    """

    contact_id: UUID | None
    label: str | None


class Address(NamedTuple):
    """A bare address: normalised and with its country where it is `valid`, otherwise as it was written."""

    text: str
    country: str | None
    valid: bool


def read_address(channel: Channel, text: str, default_country: str | None) -> Address:
    """Read an address as a caller wrote it. Reading a normalised one again gives the same."""
    if channel is Channel.EMAIL:
        email = normalise_email(text)
        return Address(email or text, None, valid=email is not None)
    phone = normalise_phone(text, default_country)
    return Address(text, None, valid=False) if phone is None else Address(phone.e164, phone.country, valid=True)


def explicit_cohort(
    recipients: ContactRecipients | AddressRecipients, contacts: Mapping[str, Contact], default_country: str | None
) -> list[Position]:
    """Return everybody that the caller named, once each, in the caller's order.

    `contacts` are those that exist, by external id. Who does not exist, and an address that is none, keeps a
    position: the job is accounted for as filtered.
    """
    if isinstance(recipients, ContactRecipients):
        return [
            Position(contacts[external_id].id if external_id in contacts else None, external_id)
            for external_id in dict.fromkeys(recipients.external_ids)
        ]
    addresses = dict.fromkeys(
        read_address(recipients.channel, text, default_country).text for text in recipients.addresses
    )
    return [Position(None, text) for text in addresses]


def audience_positions(contacts: Iterable[Contact]) -> list[Position]:
    """Return the positions of contacts that an audience has yielded."""
    return [Position(contact.id, None) for contact in contacts]


def cut_pages(positions: Sequence[Position], first_page: int = 0) -> Iterator[tuple[int, Sequence[Position]]]:
    """Yield (page, its positions), `PAGE_SIZE` at a time; `positions` start at the beginning of `first_page`."""
    for page, start in enumerate(range(0, len(positions), PAGE_SIZE), start=first_page):
        yield page, positions[start : start + PAGE_SIZE]
