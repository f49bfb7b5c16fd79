from __future__ import annotations

import pytest
from aiohttp import ClientConnectorError, ClientSession, web
from aiohttp.test_utils import TestServer

from sluice_runtime.egress import ForbiddenUrlError, check_address, check_url, guarded_connector

NEVER = [
    "169.254.169.254",
    "169.254.0.7",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",  # noqa: S104 - refused, not bound
    "::",
    "224.0.0.1",
    "255.255.255.255",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "2002:a9fe:a9fe::1",
    "64:ff9b::a9fe:a9fe",
]
PRIVATE = ["127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fd12::1", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("allow_private", [True, False])
def test_some_addresses_are_never_called(address: str, allow_private: bool) -> None:
    with pytest.raises(ForbiddenUrlError):
        check_address(address, allow_private=allow_private)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_called_only_where_that_is_allowed(address: str) -> None:
    check_address(address, allow_private=True)
    with pytest.raises(ForbiddenUrlError):
        check_address(address, allow_private=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_public_addresses_are_called(address: str) -> None:
    check_address(address, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://8.8.8.8/",
        "file:///etc/passwd",
        "//8.8.8.8/",
        "http://",
        "http://user:pw@8.8.8.8/",
        "http://[::1",
        "http://8.8.8.8:99999/",
        "http://a..b/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost:8080/",
        "http://127.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://no-such-host.invalid/",
    ],
)
async def test_a_url_that_leads_inside_or_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenUrlError):
        await check_url(url, allow_private=False)


async def test_a_public_url_passes() -> None:
    await check_url("https://8.8.8.8/v1?x=1", allow_private=False)


async def test_a_stack_on_one_machine_may_call_itself() -> None:
    await check_url("http://localhost:8080/", allow_private=True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_the_connector_checks_names_and_written_addresses_when_it_connects(host: str) -> None:
    async def hello(request: web.Request) -> web.StreamResponse:
        return web.Response(text="inside")

    app = web.Application()
    app.router.add_get("/", hello)
    async with TestServer(app) as server:
        url = f"http://{host}:{server.port}/"
        async with ClientSession(connector=guarded_connector(allow_private=True)) as session:
            answer = await session.get(url)
            assert await answer.text() == "inside"
        async with ClientSession(connector=guarded_connector(allow_private=False)) as session:
            with pytest.raises(ClientConnectorError, match="not public"):
                await session.get(url)
