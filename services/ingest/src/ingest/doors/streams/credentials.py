"""Who calls a stream: its own token, or a key of the workspace; and from which address."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from uuid import UUID

from aiohttp import web

from ingest.doors.streams.activity import StreamActivity
from ingest.doors.streams.refusals import code_of, refused
from sluice_catalog.api_keys import EVENTS_WRITE, digest
from sluice_catalog.credentials import client_address, secrets_in
from sluice_catalog.definitions.streams import TOKEN_PREFIX
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_catalog.streams import Stream, StreamToken
from sluice_runtime.clock import Clock
from sluice_runtime.http.principal import Principal
from sluice_runtime.http.problems import Problem, not_found

STREAM: Final = web.RequestKey("stream", Stream)
"""The stream that a request is for, once it is known that its credential opens it."""

STREAM_ID: Final = "stream_id"


class StreamCredentials:
    """Authenticates calls to streams, and counts what is refused to those who may call. Needs no database.

    A token opens its own stream and nothing else: any other is not there for it. `renew` reads the catalog anew.
    """

    def __init__(
        self,
        snapshot: CatalogSnapshot,
        authenticate: Callable[[web.Request], Awaitable[Principal]],
        renew: Callable[[], Awaitable[bool]],
        activity: StreamActivity,
        clock: Clock,
    ) -> None:
        self._snapshot = snapshot
        self._authenticate = authenticate
        self._renew = renew
        self._activity = activity
        self._clock = clock

    async def by_path(self, request: web.Request) -> Principal:
        """Return who calls the stream that the path names, with its token or with a key of its workspace.

        Raises Problem 401, 403 or 404.
        """
        reference = request.match_info[STREAM_ID]
        token = await self._token(request.headers)
        if token is not None:
            principal = _principal(token)
            stream = self._snapshot.stream(token.workspace_id, reference)
            if stream is None or stream.id != token.stream_id:
                raise not_found("stream")
        else:
            principal = await self._authenticate(request)
            stream = await self.find(principal.workspace_id, reference)
        return self._admitted(request, principal, stream)

    async def by_token(self, request: web.Request) -> Principal:
        """Return who calls the stream whose token the request carries.

        Raises Problem 401 or 403.
        """
        token = await self._token(request.headers)
        stream = None if token is None else self._snapshot.stream(token.workspace_id, str(token.stream_id))
        if token is None or stream is None:
            raise Problem(401, "Unauthorized", "The token of a stream is needed.")
        return self._admitted(request, _principal(token), stream)

    async def find(self, workspace_id: UUID, reference: str) -> Stream:
        """Return a stream of a workspace by its id or key.

        Raises Problem 404.
        """
        found = self._snapshot.stream(workspace_id, reference)
        if found is None and await self._renew():
            found = self._snapshot.stream(workspace_id, reference)
        if found is None:
            raise not_found("stream")
        return found

    def render(self, problem: Problem, request: web.Request) -> web.Response:
        """Return the answer to a problem, and count it for the stream that it concerns. Fits `Door.render`."""
        stream = request.get(STREAM)
        if stream is not None:
            self._activity.refuse(stream, code_of(problem), client_address(request), self._clock.now())
        return problem.response()

    def _admitted(self, request: web.Request, principal: Principal, stream: Stream) -> Principal:
        request[STREAM] = stream
        if not stream.admits(client_address(request)):
            raise refused(403, "address_not_allowed", "The stream may not be called from this address.")
        return principal._replace(stream_id=stream.id, stream_rate=stream.rate)

    async def _token(self, headers: Mapping[str, str]) -> StreamToken | None:
        if not self._snapshot.loaded:
            raise Problem(503, "Starting", "The credentials are not loaded yet.", headers={"Retry-After": "1"})
        for secret in secrets_in(headers):
            if not secret.startswith(TOKEN_PREFIX):
                continue
            sha256 = digest(secret)
            token = self._snapshot.stream_token(sha256)
            if token is None and await self._renew():
                token = self._snapshot.stream_token(sha256)
            if token is not None and hmac.compare_digest(token.secret_sha256, sha256) and self._is_valid(token):
                return token
        return None

    def _is_valid(self, token: StreamToken) -> bool:
        return token.expires_at is None or self._clock.now() < token.expires_at


def _principal(token: StreamToken) -> Principal:
    return Principal(token.workspace_id, token.id, frozenset({EVENTS_WRITE}))
