"""From database records to the rows of the domain."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

import asyncpg

from sluice_contracts.vocabulary import JOB_STATE_RANKS, Category, Channel, FlowType, WorkflowType
from status_api.domain.fold import TimelineEntry
from status_api.domain.rows import EngagementCounts, ExecutionRow, JobRow, MessageCounts, ReasonRow, TriggerRow

_STATES: Final = {rank: state for state, rank in JOB_STATE_RANKS.items()}
_MESSAGES: Final = tuple(field.name for field in fields(MessageCounts))
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
    """Return one reason with its people; where neither address nor external id is known there are fewer of them."""
    return ReasonRow(
        record["execution_id"],
        _STATES[record["state"]],
        record["code"],
        record["sentence"],
        record["n"],
        tuple(person for person in record["contacts"] or () if person is not None),
    )


def job_row(record: asyncpg.Record) -> JobRow:
    """Return one job."""
    values: dict[str, Any] = dict(record)
    values["timeline"] = {key: TimelineEntry(*entry) for key, entry in values["timeline"].items()}
    return JobRow(**values)
