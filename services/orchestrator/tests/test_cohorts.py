"""Positions are fixed: everybody once, nobody lost, a page of 200 after the other."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.cohort import Position, cut_pages, explicit_cohort, read_address
from sluice_contracts.identifiers import PAGE_SIZE, page_of
from sluice_contracts.messages.trigger import AddressRecipients, ContactRecipients
from sluice_contracts.vocabulary import Channel


@given(st.lists(st.text(max_size=3), max_size=30))
def test_named_contacts_keep_their_order_and_come_once(names: list[str]) -> None:
    cohort = explicit_cohort(ContactRecipients(external_ids=names), {}, None)
    labels = [position.label for position in cohort]
    assert labels == list(dict.fromkeys(names))
    assert all(position.contact_id is None for position in cohort)


@given(st.integers(0, 1001), st.integers(0, 5))
def test_pages_hold_every_position_in_order(count: int, first_page: int) -> None:
    positions = [Position(UUID(int=number), None) for number in range(count)]
    pages = list(cut_pages(positions, first_page))
    assert [item for _, page in pages for item in page] == positions
    for page, items in pages:
        start = page * PAGE_SIZE
        assert {page_of(start), page_of(start + len(items) - 1)} == {page}
    assert all(len(items) == PAGE_SIZE for _, items in pages[:-1])


def test_the_same_address_written_differently_is_one_position() -> None:
    cohort = explicit_cohort(
        AddressRecipients(channel=Channel.EMAIL, addresses=["Ada@Example.com", "ada@example.com ", "nonsense"]),
        {},
        None,
    )
    assert [position.label for position in cohort] == ["ada@example.com", "nonsense"]


@given(st.sampled_from(["+14155550123", "0171 1234567", "030 123456", "12", "x@y", "+999"]))
def test_reading_an_address_again_gives_the_same(text: str) -> None:
    for channel in Channel:
        once = read_address(channel, text, "DE")
        again = read_address(channel, once.text, "DE")
        assert (again.text, again.valid, again.country) == (once.text, once.valid, once.country)
