"""What a person sees of a trigger."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from rich.console import Console

from sluice_local.console.client import Client
from sluice_local.console.demo import CONTACTS, SERIES, TEMPLATES, contact
from sluice_local.console.progress import executions
from sluice_local.console.watching import Snapshot, show_ledger, summarise, watch
from sluice_local.data import Credentials

DIRECT = {
    "trigger_id": "t1",
    "flow_type": "direct_channel",
    "channel": "sms",
    "execution": {"id": "e1", "status": "completed"},
    "jobs": {
        "total": 10,
        "sent": 8,
        "failed": 1,
        "filtered": 1,
        "filter_reasons": [{"reason": "No approved SMS template for country: IN", "count": 1, "contacts": ["+91…"]}],
    },
    "analytics": {"sent": 8, "delivered": 6, "failed": 1, "awaiting_receipt": 1},
}
STEPS = {
    "workflow_type": "steps",
    "steps": [
        {
            "step_order": 1,
            "step_name": "Welcome Email",
            "channel": "email",
            "status": "processing",
            "execution": {"id": "e1", "status": "processing"},
            "jobs": {"total": 10, "sent": 4, "failed": 0, "filtered": 0},
            "analytics": {"sent": 4},
        },
        {
            "step_order": 2,
            "step_name": "Day 1 SMS",
            "channel": "sms",
            "status": "scheduled",
            "execution": None,
            "jobs": None,
            "analytics": None,
        },
    ],
}
GROUP = {
    "workflow_type": "template_group",
    "channels": {
        "email": {"execution": {"status": "completed"}, "jobs": {"total": 3, "sent": 3}, "analytics": {}},
        "sms": {"execution": {"status": "completed"}, "jobs": {"total": 2, "sent": 2}, "analytics": {}},
    },
}


def test_a_direct_send_is_one_line_with_every_count_that_is_not_zero() -> None:
    [line] = executions(DIRECT)
    assert (line.total, line.done, line.awaiting_receipt) == (10, 10, 1)
    assert line.outcome() == ("8 sent, 1 failed, 1 filtered, 6 delivered, 1 failed later, 1 awaiting receipt")
    assert line.filter_reasons == (("No approved SMS template for country: IN", 1),)


def test_a_step_that_has_not_begun_shows_its_own_status() -> None:
    first, second = executions(STEPS)
    assert (first.status, first.total, first.done) == ("processing", 10, 4)
    assert (second.label, second.status, second.total, second.outcome()) == ("2. Day 1 SMS (sms)", "scheduled", 0, "-")


def test_a_template_group_has_a_line_for_each_channel() -> None:
    assert [(line.label, line.total) for line in executions(GROUP)] == [("email", 3), ("sms", 2)]


def test_the_summary_names_the_reasons_for_what_was_filtered() -> None:
    output = StringIO()
    console = Console(file=output, width=120)
    summarise(console, Snapshot({"id": "t1", "status": "completed", "duration_seconds": 1.5}, DIRECT))
    show_ledger(console, {"total": 10, "sent": 8, "open": 0, "unaccounted": 0, "trigger_id": "t1"})
    text = output.getvalue()
    assert "completed in 1.5s" in text
    assert "No approved SMS template for country: IN" in text
    assert "ledger  total 10  sent 8  open 0  unaccounted 0" in text


class Api(Client):
    """Answers as the status API does: the trigger is processing, then completed."""

    def __init__(self) -> None:
        super().__init__(Credentials("http://127.0.0.1:1", "sk_live_x"))
        self._statuses = iter(["processing", "completed"])

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        if path.endswith("/direct"):
            return DIRECT
        return {"id": "t1", "status": next(self._statuses), "details_endpoint": "/triggers/t1/direct"}


async def test_watching_shows_a_bar_and_ends_with_the_trigger() -> None:
    output = StringIO()
    snapshot = await watch(Api(), "t1", Console(file=output, width=160, force_terminal=True))
    assert snapshot.is_final
    assert "10/10" in output.getvalue()


def test_the_demo_has_contacts_for_every_kind_of_outcome() -> None:
    contacts = [contact(number) for number in range(CONTACTS)]
    assert len({each["external_id"] for each in contacts}) == CONTACTS
    assert any(each["email"] is None for each in contacts)
    assert any(each["phone_number"].startswith("+91") for each in contacts)
    assert any(each["phone_number"] == "+15005550002" for each in contacts)


def test_the_demo_uses_only_templates_that_it_defines() -> None:
    keys = {template["key"] for template in TEMPLATES}
    assert {step["template_key"] for step in SERIES["steps"]} <= keys
