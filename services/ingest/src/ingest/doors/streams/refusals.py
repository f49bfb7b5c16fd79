"""Why a stream takes nothing in, with the code by which refusals are counted."""

from __future__ import annotations

from typing import Final

from ingest.domain.refusal import RefusedError
from ingest.handlers.refusals import problem_of
from sluice_runtime.http.problems import Problem

CODE: Final = "code"
_BY_STATUS: Final = {
    400: "invalid",
    403: "missing_scope",
    409: "in_progress",
    413: "too_large",
    415: "invalid",
    422: "invalid",
    429: "rate_limited",
    503: "unavailable",
}


class NotReadyError(RefusedError):
    """The stream cannot carry the event out as it stands; it may have been changed a moment ago, elsewhere."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__([], status=409, missing=True)
        self.code = code
        self.sentence = sentence


def refused(status: int, code: str, detail: str, **headers: str) -> Problem:
    """Return the problem of a stream that refuses."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Problem(status, detail=detail, headers=named, members={CODE: code})


def code_of(problem: Problem) -> str:
    """Return what a refusal is counted as."""
    code = problem.members.get(CODE)
    return code if isinstance(code, str) else _BY_STATUS.get(problem.status, "failed")


def problem_for(refusal: RefusedError) -> Problem:
    """Return the problem of a refusal, with its code where it has one."""
    if isinstance(refusal, NotReadyError):
        return refused(refusal.status, refusal.code, refusal.sentence)
    return problem_of(refusal)
