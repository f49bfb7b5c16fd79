"""What services read, against a real database."""

from __future__ import annotations

from uuid import uuid4

import pytest

from sluice_catalog.bootstrap import ensure_workspace
from sluice_catalog.models import Suppression
from sluice_contracts.vocabulary import Channel, SuppressionReason

pytestmark = pytest.mark.integration


async def test_a_new_workspace_sends_through_the_sandbox_on_every_channel(place) -> None:
    for channel in Channel:
        account = await place.catalog.default_account(place.workspace, channel)
        assert account is not None
        assert (account.provider, account.channel, account.workspace_id) == ("sandbox", channel, place.workspace)
        assert await place.catalog.provider_account(account.id) == account


async def test_the_sandbox_stays_within_reach_when_something_else_is_the_default(place) -> None:
    default = await place.catalog.default_account(place.workspace, Channel.SMS)
    assert await place.catalog.sandbox_account(place.workspace, Channel.SMS) == default
    async with place.database.connection() as connection:
        await connection.execute("UPDATE catalog.provider_accounts SET is_default = false WHERE id = $1", default.id)
    place.catalog.forget()
    sandbox = await place.catalog.sandbox_account(place.workspace, Channel.SMS)
    assert (sandbox.id, sandbox.is_default) == (default.id, False)
    async with place.database.connection() as connection:
        await connection.execute("DELETE FROM catalog.provider_accounts WHERE id = $1", default.id)
    place.catalog.forget()
    assert await place.catalog.sandbox_account(place.workspace, Channel.SMS) is None


async def test_a_workspace_is_made_once_and_its_secret_shown_once(place) -> None:
    assert await ensure_workspace(place.database, place.secret_box, place.name) == (place.workspace, None)


async def test_an_unknown_workspace_has_default_settings(place) -> None:
    nobody = uuid4()
    settings = await place.catalog.workspace_settings(nobody)
    assert (settings.workspace_id, settings.timezone, settings.frequency_caps) == (nobody, "UTC", ())


async def test_the_strongest_reason_for_a_suppression_is_told(place) -> None:
    def entry(reason: SuppressionReason, channel: Channel = Channel.SMS) -> Suppression:
        return Suppression(place.workspace, channel, "+14155550123", reason)

    await place.catalog.suppress([entry(SuppressionReason.STOP), entry(SuppressionReason.HARD_BOUNCE)] * 2)
    await place.catalog.suppress([entry(SuppressionReason.STOP)])
    found = await place.catalog.suppressions_among(place.workspace, Channel.SMS, ["+14155550123", "+14155550124"])
    assert found == {"+14155550123": SuppressionReason.HARD_BOUNCE}
    assert await place.catalog.suppressions_among(place.workspace, Channel.WHATSAPP, ["+14155550123"]) == {}
    assert await place.catalog.suppressions_among(place.stranger, Channel.SMS, ["+14155550123"]) == {}


async def test_lifting_a_stop_leaves_other_reasons(place) -> None:
    address = "+14155550123"
    await place.catalog.suppress(
        [
            Suppression(place.workspace, Channel.SMS, address, reason)
            for reason in (SuppressionReason.STOP, SuppressionReason.MANUAL)
        ]
    )
    await place.catalog.lift_stop(place.workspace, Channel.SMS, address)
    found = await place.catalog.suppressions_among(place.workspace, Channel.SMS, [address])
    assert found == {address: SuppressionReason.MANUAL}


async def test_a_bare_address_that_opts_out_is_suppressed(place) -> None:
    await place.catalog.record_opt_out(place.workspace, None, "a@b.example", Channel.EMAIL, "marketing")
    await place.catalog.record_opt_out(place.workspace, "nobody", "c@b.example", Channel.EMAIL)
    found = await place.catalog.suppressions_among(place.workspace, Channel.EMAIL, ["a@b.example", "c@b.example"])
    assert set(found.values()) == {SuppressionReason.UNSUBSCRIBED}
    assert len(found) == 2
