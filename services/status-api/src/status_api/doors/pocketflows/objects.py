"""The Trigger object, from what its author said and what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sluice_catalog.definitions.pocketflows import PocketflowsTrigger
from sluice_contracts.base import format_instant
from sluice_contracts.vocabulary import Channel
from status_api.domain.workflow_counts import WorkflowCounts
from status_api.doors.pocketflows.bodies import NewTrigger, Step

BUILT_IN: Final = {
    "contact.created": "customer_created",
    "contact.tag_added": "customer_tag_added",
    "segment.entered": "segment_entered",
    "message.replied": "message_replied",
}
"""Our events, which every business has, in Pocketflows' words."""


def step_id(place: int) -> str:
    """Return the id in our workflow of the step at `place`, from 0."""
    return f"step-{place + 1}"


def shown(trigger: PocketflowsTrigger, counts: WorkflowCounts) -> dict[str, Any]:
    """Return the object, key by key as the reference has it."""
    said = NewTrigger.model_validate(trigger.document)
    built_in = BUILT_IN.get(said.project_defined_event)
    return {
        "id": str(trigger.id),
        "created_at": format_instant(trigger.created_at),
        "updated_at": format_instant(trigger.updated_at),
        "name": said.name,
        "project_defined_event": None if built_in else said.project_defined_event,
        "internal_event_definition": {"type": built_in, "segment": None},
        "trigger": None,
        "steps": [_shown_step(step) for step in said.steps],
        "status": trigger.status,
        "filter": said.filter,
        "email_address": said.email_address,
        "phone_number": said.phone_number,
        "attributed_revenue": said.attributed_revenue,
        "statistics": statistics(said.steps, counts),
    }


def statistics(steps: Sequence[Step], counts: WorkflowCounts) -> dict[str, Any]:
    """Return the statistics of a trigger with these steps."""
    emails = [step for step in counts.steps if step.channel is Channel.EMAIL]
    custom: dict[str, int] = {}
    for place, step in enumerate(steps):
        if step.custom_step is not None:
            sent = sum(counted.sent for counted in counts.steps if counted.step_id == step_id(place))
            custom[step.custom_step] = custom.get(step.custom_step, 0) + sent
    finished = sum(step.last for step in counts.steps)
    return {
        "total_customers_enrolled": counts.enrolled,
        # The channels report by themselves: a last step may be heard of before the first.
        "total_customers_started": max(sum(step.first for step in counts.steps), finished),
        "total_customers_finished": finished,
        "emails": {
            "sent": sum(step.sent for step in emails),
            "delivered": sum(step.delivered for step in emails),
            "opened": sum(step.opened for step in emails),
            "soft_bounced": sum(step.undelivered for step in emails),
            "hard_bounced": sum(step.bounced for step in emails),
            "clicked": sum(step.clicked for step in emails),
        },
        "custom_steps": [{"custom_step": name, "sent": sent} for name, sent in custom.items()],
    }


def _shown_step(step: Step) -> dict[str, Any]:
    additions = step.model_dump(include={"sms_template_id", "delay_minutes"}, exclude_none=True)
    documented = {
        "type": step.type,
        "custom_step_id": step.custom_step_id,
        "email_template_id": step.email_template_id,
    }
    return documented | additions
