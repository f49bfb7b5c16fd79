"""Novu's ids lead back to ours, and its closed sets are closed."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as some

from sluice_contracts.identifiers import new_id
from sluice_contracts.novu import (
    CHANNEL_TYPES,
    behind,
    new_transaction_id,
    object_id,
    place_behind,
    place_id,
    provider_id,
    trigger_id_for_transaction,
)
from sluice_contracts.vocabulary import Channel


@given(some.uuids())
def test_an_object_id_leads_back_to_what_it_was_made_of(value: UUID) -> None:
    found = behind(object_id(value))

    assert found is not None
    assert found[0] <= value <= found[1]


@given(some.uuids(), some.integers(0, 2**31 - 1))
def test_a_jobs_id_leads_back_to_its_place(execution_id: UUID, seq: int) -> None:
    text = place_id(execution_id, seq)
    place = place_behind(text)

    assert len(text) == 24
    assert place is not None
    assert place.least <= execution_id <= place.greatest
    assert place.seq == seq


def test_what_is_no_id_leads_nowhere() -> None:
    for text in ("", "x" * 24, "AB" * 12, "0" * 23, "0" * 25):
        assert behind(text) is None
        assert place_behind(text) is None


def test_a_transaction_is_one_trigger_in_a_workspace_and_another_in_another() -> None:
    one, other = new_id(), new_id()

    assert trigger_id_for_transaction(one, "tx-1") == trigger_id_for_transaction(one, "tx-1")
    assert trigger_id_for_transaction(one, "tx-1") != trigger_id_for_transaction(other, "tx-1")
    assert trigger_id_for_transaction(one, "tx-1") != trigger_id_for_transaction(one, "tx-2")


def test_a_generated_transaction_id_looks_like_novus() -> None:
    text = new_transaction_id(new_id())

    assert text.startswith("txn_")
    assert behind(text.removeprefix("txn_")) is not None


def test_every_provider_has_an_id_that_the_sdks_know() -> None:
    assert provider_id(Channel.SMS, "twilio") == "twilio"
    assert provider_id(Channel.EMAIL, "smtp") == "nodemailer"
    assert provider_id(Channel.WHATSAPP, "meta") == "whatsapp-business"
    assert [provider_id(channel, "another") for channel in CHANNEL_TYPES] == [
        "generic-sms",
        "nodemailer",
        "whatsapp-business",
    ]
