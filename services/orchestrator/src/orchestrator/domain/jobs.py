"""The jobs of a command: for each position who it is, where they are reached, and what already speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestrator.domain.cohort import Address, Position, read_address
from orchestrator.domain.plan import ExecutionPlan
from sluice_catalog.models import Contact
from sluice_catalog.templating import contact_column
from sluice_catalog.variants import country_of
from sluice_contracts.messages.command import CommandedJobs
from sluice_contracts.messages.trigger import AddressRecipients, TriggerAccepted
from sluice_contracts.sentences import FILTER_SENTENCES
from sluice_contracts.vocabulary import Channel, FilterCode

Verdict = tuple[FilterCode, str]
Judge = Callable[["Person"], str | None]
"""Returns why a step's condition speaks against a person, None where it does not."""


class Person(NamedTuple):
    """Who stands at a position now: the contact as it is at this moment, None where there is none (any more)."""

    seq: int
    position: Position
    contact: Contact | None

    @property
    def external_id(self) -> str | None:
        """The caller's id of the contact, also of one that nobody has."""
        return self.contact.external_id if self.contact else self.position.label


@dataclass(frozen=True, slots=True)
class Crowd:
    """Reads the people of one trigger: what the caller asked, seen from a channel.

    `bare_on` is the channel that bare addresses were given for, None where the people are contacts. `default_country`
    completes phone numbers that the caller gave without one. `cancelled` speaks against everybody.
    """

    bare_on: Channel | None
    excluded: frozenset[str]
    default_country: str | None
    cancelled: bool

    @classmethod
    def of(cls, trigger: TriggerAccepted, default_country: str | None, *, cancelled: bool) -> Crowd:
        """Return the crowd of an accepted trigger."""
        recipients = trigger.recipients
        bare_on = recipients.channel if isinstance(recipients, AddressRecipients) else None
        return cls(bare_on, frozenset(trigger.excluded_contacts), default_country, cancelled)

    def address(self, person: Person, channel: Channel) -> Address | None:
        """Return where a person is reached on `channel`. A bare address serves only the channel it was given for."""
        if self.bare_on is not None:
            if self.bare_on is not channel or person.position.label is None:
                return None
            return read_address(channel, person.position.label, self.default_country)
        if person.contact is None:
            return None
        address = person.contact.address(channel)
        return None if address is None else Address(address, _country_of(person.contact, channel), valid=True)

    def members(self, executions: Sequence[ExecutionPlan], people: Sequence[Person]) -> list[list[Person]]:
        """Return who takes part in each execution of a stage.

        In a step everybody does. In a template group those with an address on the channel do, and one without
        any is accounted for once, in the first execution.
        """
        if len(executions) == 1:
            return [list(people)]
        members: list[list[Person]] = [[] for _ in executions]
        for person in people:
            reached = [place for place, item in enumerate(executions) if self.address(person, item.channel)]
            for place in reached or [0]:
                members[place].append(person)
        return members

    def verdict(self, person: Person, address: Address | None, judge: Judge | None) -> Verdict | None:
        """Return the first gate that is known here and that the person fails."""
        contact = person.contact
        bare = self.bare_on is not None
        if self.cancelled:
            return _verdict(FilterCode.CANCELLED)
        if not bare and person.external_id in self.excluded:
            return _verdict(FilterCode.EXCLUDED)
        if contact is None and not bare:
            deleted = person.position.contact_id is not None
            return (
                (FilterCode.CONTACT_NOT_FOUND, "The contact has been deleted")
                if deleted
                else _verdict(FilterCode.CONTACT_NOT_FOUND)
            )
        if contact is not None and contact.status != "active":
            return _verdict(FilterCode.CONTACT_INACTIVE)
        objection = judge(person) if judge else None
        if objection is not None:
            return (FilterCode.CONDITION_FALSE, objection)
        if address is None:
            return _verdict(FilterCode.NO_ADDRESS_FOR_CHANNEL)
        return None if address.valid else _verdict(FilterCode.INVALID_ADDRESS)

    def jobs(
        self,
        channel: Channel,
        people: Sequence[Person],
        attempts: Sequence[int],
        paths: Sequence[str],
        judge: Judge | None,
    ) -> CommandedJobs:
        """Return the columns of a command for `people`, in their order."""
        bare = self.bare_on is not None
        addresses = [self.address(person, channel) for person in people]
        verdicts = [self.verdict(person, address, judge) for person, address in zip(people, addresses, strict=True)]
        contacts = [person.contact for person in people]
        return CommandedJobs(
            seq=[person.seq for person in people],
            contact_id=[person.position.contact_id for person in people],
            external_id=[None if bare else person.external_id for person in people],
            address=[address and address.text for address in addresses],
            country=[address and address.country for address in addresses],
            locale=[contact and contact.locale for contact in contacts],
            timezone=[contact and contact.timezone for contact in contacts],
            opt_outs=[contact and contact.opt_outs.get(str(channel)) for contact in contacts],
            verdict=[verdict and verdict[0] for verdict in verdicts],
            verdict_detail=[verdict and verdict[1] for verdict in verdicts],
            attempts=list(attempts),
            fields={path: contact_column(contacts, path) for path in paths},
        )


def people_at(
    first_seq: int, positions: Sequence[Position], contacts: Mapping[Any, Contact], seqs: Sequence[int] | None = None
) -> list[Person]:
    """Return the people of a page that begins at `first_seq`, or only those at `seqs`. `contacts` are by id."""
    wanted = range(first_seq, first_seq + len(positions)) if seqs is None else seqs
    return [
        Person(seq, position, contacts.get(position.contact_id))
        for seq in wanted
        for position in [positions[seq - first_seq]]
    ]


def _country_of(contact: Contact, channel: Channel) -> str | None:
    # A phone number has a country; for email it is the region of the contact's locale ("en-US").
    return country_of(contact.locale) if channel is Channel.EMAIL else contact.country


def _verdict(code: FilterCode) -> Verdict:
    return (code, FILTER_SENTENCES[code])
