"""Refusals in the form in which callers read them."""

from __future__ import annotations

from ingest.domain.refusal import RefusedError
from sluice_runtime.http.problems import FieldError, Problem, invalid


def problem_of(refusal: RefusedError) -> Problem:
    """Return the problem document for a refusal."""
    errors: list[FieldError] = [{"field": item.field, "message": item.message} for item in refusal.wrong]
    if refusal.status == 422:
        return invalid(errors)
    return Problem(refusal.status, detail=str(refusal), errors=errors)
