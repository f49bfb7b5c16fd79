"""`sluice send` and `sluice trigger`: one request by hand."""

from __future__ import annotations

from argparse import Namespace
from typing import Any, Final

from sluice_local.console.client import Client

_DIRECT_FIELD: Final = {"sms": "direct_sms", "email": "direct_email", "whatsapp": "direct_whatsapp"}


def parse_variables(words: list[str]) -> dict[str, str]:
    """Read `name=value` words. Raises ValueError."""
    variables = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name:
            raise ValueError(f"{word!r} is not of the form name=value")
        variables[name] = value
    return variables


def send_body(arguments: Namespace) -> dict[str, Any]:
    """Return the body of a direct send. Raises ValueError where recipient or content is missing."""
    body = {**_recipient(arguments, arguments.channel), **_content(arguments)}
    if arguments.var:
        body["variables"] = parse_variables(arguments.var)
    if arguments.category:
        body["category"] = arguments.category
    return body


def trigger_body(arguments: Namespace) -> dict[str, Any]:
    """Return the body of a workflow trigger. Raises ValueError where the recipient is missing."""
    body: dict[str, Any] = {"workflow_name": arguments.workflow, **_recipient(arguments, None)}
    if arguments.var:
        body["variables"] = parse_variables(arguments.var)
    return body


async def send(client: Client, arguments: Namespace) -> str:
    """Send and return the trigger's id."""
    answer = await client.post(f"/messages/{arguments.channel}/send", send_body(arguments))
    return str(answer["trigger_id"])


async def trigger(client: Client, arguments: Namespace) -> str:
    """Trigger a workflow and return the trigger's id."""
    answer = await client.post("/workflows/trigger", trigger_body(arguments))
    return str(answer["trigger_id"])


def _recipient(arguments: Namespace, channel: str | None) -> dict[str, Any]:
    if channel is not None and arguments.to:
        field = _DIRECT_FIELD[channel]
        return {"recipient_type": field, field: arguments.to}
    if arguments.contact:
        if len(arguments.contact) == 1:
            return {"recipient_type": "contact", "contact_external_id": arguments.contact[0]}
        return {"recipient_type": "contacts", "contact_external_ids": arguments.contact}
    if arguments.tag:
        return {"recipient_type": "tag", "tags": arguments.tag}
    if arguments.everyone:
        return {"recipient_type": "all"}
    choices = "--contact, --tag or --everyone"
    raise ValueError(f"say whom: {choices if channel is None else '--to, ' + choices}")


def _content(arguments: Namespace) -> dict[str, Any]:
    if arguments.template:
        return {"template_key": arguments.template}
    if arguments.channel == "email" and arguments.subject and arguments.text:
        return {"subject": arguments.subject, "content": arguments.text}
    if arguments.channel == "sms" and arguments.text:
        return {"text": arguments.text}
    needed = {"sms": "--text", "email": "--subject and --text", "whatsapp": "a template"}[arguments.channel]
    raise ValueError(f"say what: --template, or {needed}")
