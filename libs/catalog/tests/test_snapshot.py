"""The catalog in memory: it follows what others write and outlives the database."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from sluice_catalog.api_keys import new_secret
from sluice_catalog.bootstrap import ensure_workspace
from sluice_catalog.credentials import Authenticator, client_address, secrets_in
from sluice_catalog.definitions.lists import ContactList, Lists
from sluice_catalog.definitions.workspace import NewApiKey, Workspaces
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.http.guard.settings import TRUSTED_PROXIES
from sluice_runtime.http.problems import Problem
from sluice_runtime.secrets import SecretBox

integration = pytest.mark.integration


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what changes is not ours to signal
            await asyncio.sleep(0.01)


@pytest.fixture
async def following(place: Any) -> AsyncIterator[CatalogSnapshot]:
    """A snapshot that follows, as another process would."""
    snapshot = CatalogSnapshot(place.database, place.secret_box)
    stop = asyncio.Event()
    tasks = [asyncio.create_task(snapshot.follow(stop)), asyncio.create_task(snapshot.listener(place.dsn).run(stop))]
    await until(lambda: snapshot.loaded)
    yield snapshot
    stop.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks)


@integration
async def test_what_others_write_comes_in_by_notification(place: Any, following: CatalogSnapshot) -> None:
    made = await Lists(place.database, place.clock).create(place.workspace, ContactList(name="News"))
    await until(lambda: following.list(place.workspace, "News") == made.id)
    assert following.list(place.workspace, str(made.id)) == made.id
    assert following.list(place.stranger, "News") is None


@integration
async def test_a_new_workspace_can_be_used_at_once_by_every_process(place: Any, following: CatalogSnapshot) -> None:
    made = new_secret()
    workspace, _ = await ensure_workspace(place.database, place.secret_box, f"New {uuid4()}", secret=made.secret)
    await until(lambda: following.api_key(made.sha256) and following.workspace(workspace))
    async with place.database.connection() as connection:
        accounts = await connection.fetch("SELECT id FROM catalog.provider_accounts WHERE workspace_id = $1", workspace)
    await until(lambda: all(following.provider_account(account["id"]) for account in accounts))


@integration
async def test_a_revoked_key_ends_in_every_process(place: Any, following: CatalogSnapshot) -> None:
    workspaces = Workspaces(place.database, place.clock)
    key, secret = await workspaces.add_key(place.workspace, NewApiKey(name="Short", scopes=["status:read"]))
    await until(lambda: following.api_key(secret.sha256))
    found = following.api_key(secret.sha256)
    assert found is not None
    assert (found.key_id, found.workspace_id, found.scopes) == (key.id, place.workspace, {"status:read"})
    await workspaces.revoke(place.workspace, key.id)
    await until(lambda: following.api_key(secret.sha256) is None)


@integration
async def test_while_the_database_is_away_what_was_seen_last_goes_on_serving(place: Any) -> None:
    snapshot = CatalogSnapshot(place.database, place.secret_box, ttl=0.05)
    await snapshot.refresh()
    stop = asyncio.Event()
    await place.database.close()
    following = asyncio.create_task(snapshot.follow(stop))
    request = make_mocked_request("GET", "/", headers={"X-API-Key": place.secret})
    for _ in range(10):
        await asyncio.sleep(0.02)
        principal = await Authenticator(snapshot)(request)
        assert principal.workspace_id == place.workspace
    assert not following.done()
    stop.set()
    async with asyncio.timeout(30):
        await following


@integration
async def test_a_load_that_fails_leaves_everything_and_is_tried_again(place: Any) -> None:
    snapshot = CatalogSnapshot(place.database, place.secret_box)
    await snapshot.refresh("api_keys")
    assert not snapshot.loaded
    await snapshot.refresh()
    assert snapshot.loaded


@integration
async def test_an_account_sealed_with_another_key_is_left_out(place: Any) -> None:
    async with place.database.connection() as connection:
        account_id = await connection.fetchval(
            """
            UPDATE catalog.provider_accounts SET secrets = $2
            WHERE workspace_id = $1 AND channel = 'sms' RETURNING id
            """,
            place.workspace,
            {"auth_token": SecretBox(b"x" * 32).encrypt("secret")},
        )
    snapshot = CatalogSnapshot(place.database, place.secret_box)
    await snapshot.refresh()
    assert snapshot.loaded
    assert snapshot.provider_account(account_id) is None


@integration
async def test_each_documented_way_to_show_a_key_works(place: Any) -> None:
    snapshot = CatalogSnapshot(place.database, place.secret_box)
    authenticate = Authenticator(snapshot)
    key = place.secret
    with pytest.raises(Problem) as early:
        await authenticate(make_mocked_request("GET", "/", headers={"X-API-Key": key}))
    assert early.value.status == 503
    await snapshot.refresh()
    for headers in (
        {"X-API-Key": key},
        {"Authorization": f"ApiKey {key}"},
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key}"},
        {"Authorization": key},
        {"Authorization": "Basic " + b64encode(f"{key}:".encode()).decode()},
        {"Authorization": "Basic " + b64encode(f"api:{key}".encode()).decode()},
        {"X-API-Key": "sk_live_wrong", "Authorization": f"ApiKey {key}"},
    ):
        principal = await authenticate(make_mocked_request("GET", "/", headers=headers))
        assert principal.workspace_id == place.workspace
        assert principal.may("admin")
    for headers in (
        {},
        {"X-API-Key": ""},
        {"X-API-Key": key[:-1]},
        {"X-API-Key": new_secret().secret},
        {"Authorization": "Basic !!!"},
        {"Authorization": f"Digest {key}"},
        {"Authorization": "Bearer"},
    ):
        with pytest.raises(Problem) as caught:
            await authenticate(make_mocked_request("GET", "/", headers=headers))
        assert caught.value.status == 401


def test_a_secret_is_long_random_and_never_shown_by_accident() -> None:
    secrets = {new_secret().secret for _ in range(100)}
    assert len(secrets) == 100
    assert min(len(secret) for secret in secrets) >= 50
    made = new_secret()
    assert made.secret not in repr(made)
    assert made.secret not in made.hint


def test_a_header_longer_than_any_key_is_cut() -> None:
    assert [len(secret) for secret in secrets_in({"X-API-Key": "k" * 100_000})] == [512]


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"),
    [
        ((), "127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ((), "10.0.0.2", "198.51.100.7, 203.0.113.9", "203.0.113.9"),
        ((), "8.8.8.8", "203.0.113.9", "8.8.8.8"),
        ((), "127.0.0.1", None, "127.0.0.1"),
        ((), "somewhere", "203.0.113.9", "somewhere"),
        (("10.0.0.2/32",), "10.0.0.2", "203.0.113.9", "203.0.113.9"),
        (("10.0.0.2/32",), "10.0.0.3", "203.0.113.9", "10.0.0.3"),
        (("10.0.0.2/32",), "127.0.0.1", "203.0.113.9", "127.0.0.1"),
        (("198.51.100.0/24", "2001:db8::/64"), "2001:db8::1", "203.0.113.9", "203.0.113.9"),
    ],
)
def test_only_our_own_gateway_is_believed_about_addresses(
    trusted: tuple[str, ...], peer: str, forwarded: str | None, expected: str
) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    app = web.Application()
    app[TRUSTED_PROXIES] = trusted
    request = make_mocked_request("GET", "/", headers=headers, app=app).clone(remote=peer)
    assert client_address(request) == expected


def test_unknown_ids_are_none() -> None:
    snapshot = CatalogSnapshot(None, None)  # type: ignore[arg-type]
    assert snapshot.template(uuid4(), "x") is None
    assert snapshot.workflow(uuid4(), "x") is None
    assert snapshot.segment(uuid4(), "x") is None
    assert snapshot.workspace(UUID(int=0)) is None
    assert snapshot.provider_account(UUID(int=0)) is None
