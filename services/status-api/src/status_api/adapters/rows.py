"""From database records to the rows of the domain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import repeat
from typing import Any, Final
from uuid import UUID

import asyncpg

from sluice_contracts.vocabulary import JOB_STATE_RANKS, Category, Channel, FlowType, WorkflowType
from status_api.domain.rows import ERASED, EngagementCounts, ExecutionRow, JobRow, MessageCounts, ReasonRow, TriggerRow

_STATES: Final = {rank: state for state, rank in JOB_STATE_RANKS.items()}
_MESSAGES: Final = tuple(field.name for field in fields(MessageCounts))
_NOBODY: Final = (None, ERASED)
_ENGAGEMENTS: Final = tuple(field.name for field in fields(EngagementCounts))


def trigger_row(record: asyncpg.Record) -> TriggerRow:
    """Return one trigger."""
    values: dict[str, Any] = dict(record)
    values["flow_type"] = FlowType(values["flow_type"])
    values["category"] = Category(values["category"])
    values["channel"] = Channel(values["channel"]) if values["channel"] else None
    values["workflow_type"] = WorkflowType(values["workflow_type"]) if values["workflow_type"] else None
    return TriggerRow(**values)


def execution_row(record: asyncpg.Record) -> ExecutionRow:
    """Return one execution."""
    values: dict[str, Any] = dict(record)
    values["channel"] = Channel(values["channel"])
    messages = MessageCounts(**{name: values.pop(f"message_{name}") for name in _MESSAGES})
    engagements = EngagementCounts(**{name: values.pop(name) for name in _ENGAGEMENTS})
    return ExecutionRow(**values, messages=messages, engagements=engagements)


def reason_row(record: asyncpg.Record) -> ReasonRow:
    """Return one reason with its people; there are fewer where one was erased, or is known by no address or id."""
    return ReasonRow(
        record["execution_id"],
        _STATES[record["state"]],
        record["code"],
        record["sentence"],
        record["n"],
        tuple(person for person in record["contacts"] or () if person not in _NOBODY),
    )


def job_row(record: Iterable[Any]) -> JobRow:
    """Return one job from its columns, in the order of `JobRow`; an erased person has neither name nor address."""
    job = JobRow._make(record)
    return job._replace(external_id=None, address=None) if job.external_id == ERASED else job


def job_rows(execution_id: UUID, columns: Sequence[Sequence[Any]]) -> list[JobRow]:
    """Return jobs of one execution from columns that hold a value of each, in the order of `JobRow` from `seq` on."""
    return [job_row(record) for record in zip(repeat(execution_id), *columns)]
