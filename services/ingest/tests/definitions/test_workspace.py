"""The doors to provider accounts, suppressions, API keys and settings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sluice_contracts.vocabulary import Channel, SuppressionReason

pytestmark = pytest.mark.integration

SMTP: dict[str, Any] = {
    "name": "Relay",
    "provider": "smtp",
    "config": {"host": "mail.example.com", "port": 587, "username": "u", "from_email": "hello@example.com"},
    "secrets": {"password": "p4ssw0rd"},
    "rate_per_second": 20,
}


async def test_a_secret_goes_in_and_never_comes_out(doors: Any) -> None:
    made = await doors.ours("POST", "/providers", SMTP)
    assert made.status == 201
    assert made.body["secrets"] == {"password": "set"}
    assert "p4ssw0rd" not in str(made.body)
    async with doors.database.connection() as connection:
        kept = await connection.fetchval(
            "SELECT secrets::text FROM catalog.provider_accounts WHERE id = $1", made.body["id"]
        )
    assert "p4ssw0rd" not in kept
    account = doors.snapshot.provider_account(UUID(made.body["id"]))
    assert account.secrets == {"password": "p4ssw0rd"}
    assert account.channel is Channel.EMAIL
    assert "p4ssw0rd" not in repr(account)


async def test_a_change_keeps_what_it_does_not_name(doors: Any) -> None:
    made = await doors.ours("POST", "/providers", SMTP)
    path = f"/providers/{made.body['id']}"
    changed = await doors.ours("PATCH", path, {"config": {"port": 25, "username": None}})
    assert changed.body["config"]["port"] == 25
    assert "username" not in changed.body["config"]
    assert changed.body["config"]["host"] == "mail.example.com"
    account = doors.snapshot.provider_account(UUID(made.body["id"]))
    assert account.secrets == {"password": "p4ssw0rd"}
    await doors.ours("PATCH", path, {"secrets": {"password": None}})
    assert doors.snapshot.provider_account(UUID(made.body["id"])).secrets == {}


async def test_one_account_of_a_channel_is_the_default(doors: Any) -> None:
    sandbox = await doors.catalog.default_account(doors.workspace, Channel.EMAIL)
    made = await doors.ours("POST", "/providers", SMTP | {"is_default": True})
    doors.catalog.forget()
    assert str((await doors.catalog.default_account(doors.workspace, Channel.EMAIL)).id) == made.body["id"]
    await doors.ours("PATCH", f"/providers/{sandbox.id}", {"is_default": True})
    doors.catalog.forget()
    assert (await doors.catalog.default_account(doors.workspace, Channel.EMAIL)).id == sandbox.id
    assert (await doors.ours("GET", f"/providers/{made.body['id']}")).body["is_default"] is False


@pytest.mark.parametrize(
    ("account", "field"),
    [
        (SMTP | {"config": {"host": "h"}}, "config.port"),
        (SMTP | {"config": SMTP["config"] | {"tls": "maybe"}}, "config.tls"),
        (SMTP | {"config": SMTP["config"] | {"from_email": "no"}}, "config.from_email"),
        (SMTP | {"config": SMTP["config"] | {"from_name": "a\r\nBcc: b"}}, "config.from_name"),
        (SMTP | {"channel": "sms"}, "channel"),
        (SMTP | {"provider": "pigeon"}, "provider"),
        (SMTP | {"rate_per_second": 0}, "rate_per_second"),
        ({"name": "T", "provider": "twilio", "config": {"account_sid": "AC1"}, "secrets": {"auth_token": "t"}},
         "config"),
        ({"name": "T", "provider": "twilio", "config": {"account_sid": "AC1", "from": "+1"}, "secrets": {}},
         "secrets.auth_token"),
        ({"name": "M", "provider": "meta", "config": {"phone_number_id": "1/../2"}, "secrets": {"access_token": "t"}},
         "config.phone_number_id"),
        ({"name": "S", "provider": "sandbox", "channel": "sms", "secrets": {"a": "b"}}, "secrets.a"),
    ],
)  # fmt: skip
async def test_an_account_that_cannot_work_is_refused(doors: Any, account: dict[str, Any], field: str) -> None:
    answer = await doors.ours("POST", "/providers", account)
    assert (answer.status, answer.fields) == (422, [field])
    assert "auth_token': 't'" not in str(answer.body)


async def test_twilio_and_meta_accounts_are_kept_as_their_providers_read_them(doors: Any) -> None:
    twilio = {
        "name": "T",
        "provider": "twilio",
        "config": {"account_sid": "AC1", "from": "+15005550006"},
        "secrets": {"auth_token": "t"},
    }
    made = await doors.ours("POST", "/providers", twilio)
    account = await doors.catalog.provider_account(UUID(made.body["id"]))
    assert (account.config, account.secrets) == ({"account_sid": "AC1", "from": "+15005550006"}, {"auth_token": "t"})
    assert (await doors.theirs("GET", f"/providers/{made.body['id']}")).status == 404


async def test_a_suppressed_address_is_normalised_listed_and_let_go(doors: Any) -> None:
    given = {"channel": "sms", "address": "+1 415 555 0123", "detail": "asked by phone"}
    made = await doors.ours("POST", "/suppressions", given)
    assert (made.status, made.body["address"], made.body["reason"]) == (201, "+14155550123", "manual")
    assert (await doors.ours("POST", "/suppressions", given)).status == 200
    found = await doors.catalog.suppressions_among(doors.workspace, Channel.SMS, ["+14155550123"])
    assert found == {"+14155550123": SuppressionReason.MANUAL}
    await doors.ours("POST", "/suppressions", {"channel": "email", "address": "A@b.example", "reason": "stop"})
    for query, count in (("", 2), ("?channel=sms", 1), ("?reason=stop", 1), ("?address=a@B.example", 1)):
        assert len((await doors.ours("GET", f"/suppressions{query}")).body["data"]) == count
    assert (await doors.theirs("GET", "/suppressions")).body["data"] == []
    assert (await doors.theirs("DELETE", f"/suppressions/{made.body['id']}")).status == 404
    assert (await doors.ours("DELETE", f"/suppressions/{made.body['id']}")).status == 204
    assert await doors.catalog.suppressions_among(doors.workspace, Channel.SMS, ["+14155550123"]) == {}
    assert (await doors.ours("POST", "/suppressions", {"channel": "sms", "address": "x"})).fields == ["address"]


async def test_a_key_is_shown_once_works_within_its_scopes_and_ends_at_once(doors: Any) -> None:
    made = await doors.ours("POST", "/api-keys", {"name": "Reader", "scopes": ["status:read"]})
    assert made.status == 201
    secret = made.body["secret"]
    listed = (await doors.ours("GET", "/api-keys")).body["data"]
    assert {key["name"] for key in listed} == {"First key", "Reader"}
    assert secret not in str(listed)
    reader = doors.with_key(secret)
    assert (await reader("GET", "/contacts")).status == 403
    assert (await reader("POST", "/api-keys", {"name": "More", "scopes": ["admin"]})).status == 403
    writer = await doors.ours("POST", "/api-keys", {"name": "Writer", "scopes": ["definitions:write"]})
    writing = doors.with_key(writer.body["secret"])
    assert (await writing("GET", "/contacts")).status == 200
    assert (await writing("GET", "/api-keys")).status == 403
    assert (await doors.theirs("DELETE", f"/api-keys/{writer.body['id']}")).status == 404
    assert (await doors.ours("DELETE", f"/api-keys/{writer.body['id']}")).status == 204
    assert (await writing("GET", "/contacts")).status == 401


async def test_a_key_for_other_addresses_is_refused_here(doors: Any) -> None:
    given = {"name": "Elsewhere", "scopes": ["definitions:write"], "allowed_ips": ["203.0.113.0/24"]}
    made = await doors.ours("POST", "/api-keys", given)
    elsewhere = doors.with_key(made.body["secret"])
    assert (await elsewhere("GET", "/contacts")).status == 403
    assert (await elsewhere("GET", "/contacts", X_Forwarded_For="203.0.113.9")).status == 200
    assert (await doors.ours("POST", "/api-keys", given | {"allowed_ips": ["here"]})).status == 422


async def test_settings_change_field_by_field(doors: Any) -> None:
    before = await doors.ours("GET", "/workspace")
    assert (before.body["timezone"], before.body["budget"]) == ("UTC", None)
    change = {
        "timezone": "Europe/Berlin",
        "default_country": "de",
        "send_window": {"opens": "09:00", "closes": "20:00", "days": [1, 2, 3]},
        "frequency_caps": [{"limit": 3, "hours": 24, "channel": "sms"}],
        "budget": {"amount_micros": 5_000_000, "period": "day"},
    }
    changed = await doors.ours("PATCH", "/workspace", change, If_Match=before.headers["ETag"])
    assert (changed.status, changed.body["default_country"]) == (200, "DE")
    assert (await doors.ours("PATCH", "/workspace", change, If_Match=before.headers["ETag"])).status == 412
    settings = await doors.catalog.workspace_settings(doors.workspace)
    assert settings == doors.snapshot.workspace(doors.workspace)
    assert (settings.send_window.opens, settings.send_window.outside) == ("09:00", "hold")
    assert (settings.frequency_caps[0].limit, settings.budget.amount_micros) == (3, 5_000_000)
    national = await doors.ours("POST", "/contacts", {"external_id": "a", "phone_number": "030 901820"})
    assert national.body["phone_number"] == "+4930901820"
    assert (await doors.ours("PATCH", "/workspace", {"timezone": "Berlin"})).fields == ["timezone"]
    assert (await doors.ours("PATCH", "/workspace", {"name": "x"})).fields == ["name"]
    cleared = await doors.ours("PATCH", "/workspace", {"budget": None, "send_window": None})
    assert (cleared.body["budget"], cleared.body["timezone"]) == (None, "Europe/Berlin")
