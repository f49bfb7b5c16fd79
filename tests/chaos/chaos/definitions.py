"""What a workspace defines before it sends: providers, people, templates, workflows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chaos.caller import Caller
from chaos.people import Population

_BULK: Final = 1000
_MARK: Final = "mark:{{ mark }}"
_TEMPLATES: Final[Mapping[str, tuple[str, str, dict[str, Any]]]] = {
    "code": ("sms", "authentication", {"text": f"Your code is {{{{ code }}}} {_MARK}"}),
    "invoice": (
        "email",
        "transactional",
        {"subject": f"Your invoice {_MARK}", "html": "<p>Dear {{ name }}, your invoice is ready.</p>"},
    ),
    "offer_sms": ("sms", "marketing", {"text": f"{{{{ first_name }}}}, 10 % off {_MARK}"}),
    "offer_email": (
        "email",
        "marketing",
        {"subject": f"10 % off {_MARK}", "html": "<p>Hello {{ name }}</p>"},
    ),
    "offer_whatsapp": (
        "whatsapp",
        "marketing",
        {"template_name": "offer", "language": "en_US", "body": f"{{{{ first_name }}}}, 10 % off {_MARK}"},
    ),
}
"""Channel, category and content of each template, by key."""

SERIES: Final = "series"
SLOW_SERIES: Final = "slow series"
GROUP: Final = "everywhere"
WELCOME: Final = "welcome"
BOUGHT: Final = "something.bought"
"""An event that starts WELCOME."""
PATIENT: Final = "patient"
ANSWERED: Final = "something.answered"
"""An event that PATIENT waits for, much longer than a run lasts."""

_SERIES: Final[Mapping[str, int]] = {SERIES: 0, SLOW_SERIES: 1}
"""Minutes before the second step."""

_WAIT: Final[Mapping[str, Any]] = {
    "type": "wait_for_event",
    "step_id": "wait",
    "step_name": "wait",
    "event": ANSWERED,
    "timeout_minutes": 600,
    "correlation": {"variable": "mark", "path": "$.mark"},
}


async def define(caller: Caller, population: Population, accounts: Sequence[Mapping[str, Any]]) -> None:
    """Create everything, through the public API."""
    for account in accounts:
        await caller.surely("POST", "/api/v1/providers", account)
    contacts = [person.contact() for person in population.people]
    for first in range(0, len(contacts), _BULK):
        body = await caller.surely("POST", "/api/v1/contacts/bulk", {"contacts": contacts[first : first + _BULK]})
        refused = [result for result in body["results"] if result["status"] == "failed"]
        if refused:
            raise ValueError(f"{len(refused)} contacts were refused: {refused[:2]}")
    await asyncio.gather(*(_template(caller, key) for key in _TEMPLATES))
    templates = {channel: f"offer_{channel}" for channel in ("sms", "email", "whatsapp")}
    group = {"key": "group", "name": GROUP, "templates": templates}
    await caller.surely("POST", "/api/v1/template-groups", group)
    everywhere = {"name": GROUP, "type": "template_group", "status": "active", "template_group_key": "group"}
    await caller.surely("POST", "/api/v1/workflows", everywhere)
    series = {name: [_step("first", "email", 0), _step("second", "sms", delay)] for name, delay in _SERIES.items()}
    short = {WELCOME: [_step("only", "sms", 0)], PATIENT: [_WAIT, _step("only", "sms", 0)]}
    for name, steps in {**series, **short}.items():
        workflow = {"name": name, "type": "steps", "status": "active", "steps": steps}
        await caller.surely("POST", "/api/v1/workflows", workflow)
    mapping = [{"variable": "mark", "path": "$.mark"}]
    rule = {"name": BOUGHT, "event": BOUGHT, "workflow": WELCOME, "status": "active", "mapping": mapping}
    await caller.surely("POST", "/api/v1/trigger-rules", rule)


async def _template(caller: Caller, key: str) -> None:
    channel, category, content = _TEMPLATES[key]
    variant = {"country": None, "locale": None, **content}
    body = {"key": key, "name": key, "channel": channel, "category": category, "variants": [variant]}
    await caller.surely("POST", "/api/v1/templates", body)


def _step(name: str, channel: str, delay: int) -> dict[str, Any]:
    return {
        "step_id": name,
        "step_name": name,
        "channel": channel,
        "template_key": f"offer_{channel}",
        "delay_minutes": delay,
    }
