"""Workflows in Novu's words: what was said, as it is kept, and what of it becomes a workflow of ours with templates.

Steps `sms` and `email` become steps of ours, each `delay` moves what follows. What we have no word for (in-app, push,
chat, digest, throttle, HTTP, custom code) stays in the document, is never sent, and carries an issue that says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from ingest.doors.novu.conditions import UntranslatableRule, condition_of
from ingest.doors.novu.mail_bodies import UnreadableBody, content_of
from ingest.doors.novu.people import MUTED
from ingest.doors.novu.templates import asks_for_whole_payload, translated
from sluice_catalog.definitions.templates import AnyTemplate, EmailTemplate, EmailVariant, SmsTemplate, SmsVariant
from sluice_catalog.definitions.workflows import LONGEST_DELAY_MINUTES, Step, StepsWorkflow
from sluice_catalog.templating import TemplateProblem
from sluice_contracts.novu import CHANNELS, named_object_id
from sluice_contracts.vocabulary import Category, Channel, WorkflowType

MESSAGE_TYPES: Final = ("in_app", "email", "sms", "chat", "push")
SENDABLE: Final = frozenset({"sms", "email"})
_SECONDS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800, "months": 2_592_000}
_CATEGORIES: Final = {category.value: category for category in Category}
_NO_CHANNEL: Final = {
    "in_app": "There is no in-app channel here.",
    "push": "There is no push channel here.",
    "chat": "WhatsApp messages need an approved template: define this workflow through /api/v1/workflows.",
}
_UNSUPPORTED: Final = "Steps of this type are not carried out here; what follows goes on without it."


@dataclass(frozen=True, slots=True)
class Issue:
    """Why a step is not carried out. `kind` and `key` are Novu's: where the issue is, and about what."""

    kind: str
    key: str
    code: str
    message: str

    def shown(self) -> dict[str, Any]:
        """Return Novu's form."""
        return {self.kind: {self.key: [{"issueType": self.code, "message": self.message}]}}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a document becomes. `workflow` is None where nothing can be sent; `issues` are by step id."""

    templates: Sequence[AnyTemplate]
    workflow: StepsWorkflow | None
    issues: Mapping[str, Issue]
    whole_payload: bool


def slug(text: str) -> str:
    """Return a text as Novu makes identifiers of names: "Order shipped" is `order-shipped`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "step"


def with_step_ids(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps, each with an id of its own: the one that it has, or one made of its name."""
    taken: set[str] = set()
    named = []
    for step in steps:
        wanted = str(step.get("stepId") or slug(str(step.get("name") or step["type"])))
        wanted = re.sub(r"[^A-Za-z0-9._-]", "-", wanted).lstrip("._-")[:60] or "step"
        step_id, number = wanted, 1
        while step_id in taken:
            number += 1
            step_id = f"{wanted}-{number}"
        taken.add(step_id)
        named.append({**step, "stepId": step_id, "name": str(step.get("name") or step_id)[:200]})
    return named


def is_critical(document: Mapping[str, Any]) -> bool:
    """Whether subscribers cannot turn the workflow off."""
    return bool(document.get("critical"))


def category_of(document: Mapping[str, Any]) -> Category:
    """Return what the workflow's messages are for: a tag that is one of our categories says so.

    Else critical ones are transactional, and so pass preferences, and all others are utility.
    """
    for tag in document.get("tags") or []:
        if tag in _CATEGORIES:
            return _CATEGORIES[tag]
    return Category.TRANSACTIONAL if is_critical(document) else Category.UTILITY


def muted_entry(identifier: str, kind: str) -> str:
    """Return what stands in a contact's muted entries for one channel of one workflow; "*" is every workflow."""
    return f"{identifier}:{kind}"


def plan_of(workspace_id: UUID, identifier: str, document: Mapping[str, Any]) -> Plan:
    """Return what a document becomes. Never raises for what a step says: that is an issue of the step."""
    category = category_of(document)
    templates: list[AnyTemplate] = []
    steps: list[Step] = []
    issues: dict[str, Issue] = {}
    seconds = 0.0
    whole = False
    for step in document["steps"]:
        step_id, kind, controls = step["stepId"], step["type"], step.get("controlValues") or {}
        if kind == "delay":
            waits = _delay(controls)
            if isinstance(waits, Issue):
                issues[step_id] = waits
            else:
                seconds += waits
            continue
        try:
            _check(step, kind, seconds)
            template = _template(workspace_id, identifier, step, controls, category)
            made = _step(step, template.key, math.ceil(seconds / 60), _condition(document, identifier, step, kind))
        except _Unsendable as problem:
            issues[step_id] = problem.issue
            continue
        whole = whole or _whole(template)
        templates.append(template)
        steps.append(made)
    workflow = None
    if steps:
        workflow = StepsWorkflow(
            key=identifier,
            name=document["name"],
            type=WorkflowType.STEPS,
            status="active" if document.get("active") else "inactive",
            category=category,
            steps=steps,
        )
    return Plan(templates, workflow, issues, whole)


class _Unsendable(Exception):  # noqa: N818 - it carries an issue to where issues are put together
    def __init__(self, issue: Issue) -> None:
        super().__init__(issue.message)
        self.issue = issue


def _control_issue(key: str, message: str, code: str = "UNSUPPORTED_PROPERTY") -> Issue:
    return Issue("controls", key, code, message)


def _check(step: Mapping[str, Any], kind: str, seconds: float) -> None:
    if kind in _NO_CHANNEL:
        raise _Unsendable(Issue("integration", kind, "MISSING_INTEGRATION", _NO_CHANNEL[kind]))
    if kind not in SENDABLE:
        raise _Unsendable(_control_issue("type", _UNSUPPORTED))
    if step.get("active") is False:
        raise _Unsendable(_control_issue("active", "The step is not active."))
    if seconds > LONGEST_DELAY_MINUTES * 60:
        raise _Unsendable(_control_issue("amount", "The step would come more than a year later."))


def _delay(controls: Mapping[str, Any]) -> float | Issue:
    amount, unit = controls.get("amount"), controls.get("unit")
    if controls.get("type", "regular") != "regular" or unit not in _SECONDS:
        return _control_issue("type", "Only regular delays with an amount and a unit are carried out.")
    if not isinstance(amount, int | float) or isinstance(amount, bool) or not 0 <= amount < 1e6:
        return _control_issue("amount", "is missing or wrong", "MISSING_VALUE")
    return float(amount) * _SECONDS[unit]


def _condition(document: Mapping[str, Any], identifier: str, step: Mapping[str, Any], kind: str) -> str | None:
    parts = []
    if not is_critical(document):
        entry = muted_entry(identifier, kind).replace("\\", "\\\\").replace('"', '\\"')
        muted = f"contact.attributes.{MUTED}"
        parts.append(f'!(has({muted}) && "{entry}" in {muted})')
    rule = (step.get("controlValues") or {}).get("skip")
    if rule:
        try:
            parts.append(condition_of(rule))
        except UntranslatableRule as problem:
            raise _Unsendable(_control_issue("skip", f"The condition cannot be decided here: {problem}.")) from problem
    return " && ".join(parts) or None


def _template(
    workspace_id: UUID, identifier: str, step: Mapping[str, Any], controls: Mapping[str, Any], category: Category
) -> AnyTemplate:
    key = f"novu:{named_object_id(workspace_id, f'workflow:{identifier}')}:{step['stepId']}"
    common: dict[str, Any] = {"key": key, "name": step["name"], "category": category}
    try:
        if step["type"] == "sms":
            variant = SmsVariant(text=translated(_required(controls, "body")))
            return SmsTemplate(**common, channel=Channel.SMS, variants=[variant])
        content = {name: translated(source) for name, source in content_of(_required(controls, "body")).items()}
        email = EmailVariant(subject=translated(_required(controls, "subject")), **content)
        return EmailTemplate(**common, channel=Channel.EMAIL, variants=[email])
    except (TemplateProblem, UnreadableBody) as problem:
        issue = _control_issue("body", str(problem), "ILLEGAL_VARIABLE_IN_CONTROL_VALUE")
        raise _Unsendable(issue) from problem
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "body"
        shown = "subject" if field == "subject" else "body"
        issue = _control_issue(shown, first["msg"].removeprefix("Value error, "), "ILLEGAL_VARIABLE_IN_CONTROL_VALUE")
        raise _Unsendable(issue) from problem


def _step(step: Mapping[str, Any], template_key: str, delay_minutes: int, condition: str | None) -> Step:
    try:
        return Step(
            step_id=step["stepId"],
            step_name=step["name"],
            channel=CHANNELS[step["type"]],
            template_key=template_key,
            delay_minutes=delay_minutes,
            condition=condition,
        )
    except ValidationError as problem:
        raise _Unsendable(_control_issue("skip", "The condition is too long or cannot be decided here.")) from problem


def _required(controls: Mapping[str, Any], name: str) -> str:
    value = controls.get(name)
    if not isinstance(value, str) or not value.strip():
        raise _Unsendable(_control_issue(name, f"{name} is missing", "MISSING_VALUE"))
    return value


def _whole(template: AnyTemplate) -> bool:
    return any(
        asks_for_whole_payload(source)
        for variant in template.variants
        for source in variant.content().values()
        if isinstance(source, str)
    )
