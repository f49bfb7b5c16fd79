"""Who calls, and what they may do."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from sluice_runtime.http.guard.rates import Rate
from sluice_runtime.http.problems import Problem

ADMIN: Final = "admin"
"""The scope that includes all others."""


class Principal(NamedTuple):
    """Who calls, as their credential says.

    A call to a stream counts against the stream's own rate as well, which is `stream_rate` where it has one.
    """

    workspace_id: UUID
    key_id: UUID
    scopes: frozenset[str]
    stream_id: UUID | None = None
    stream_rate: Rate | None = None

    def may(self, scope: str) -> bool:
        """Whether the credential has `scope`; `admin` has them all."""
        return scope in self.scopes or ADMIN in self.scopes


NOBODY: Final = Principal(UUID(int=0), UUID(int=0), frozenset())
"""The principal of public operations: owns nothing and may do nothing."""


def require_scope(principal: Principal, scope: str) -> None:
    """Return if `principal` has `scope`.

    Raises Problem 403.
    """
    if not principal.may(scope):
        raise Problem(403, "Missing scope", f"The credential needs the scope {scope}.")
