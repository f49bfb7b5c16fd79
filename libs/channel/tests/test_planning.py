"""Planning a wave: the short way through the gates says what the gates say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from sluice_catalog.models import ProviderAccount
from sluice_channel.accounts import ActiveAccount
from sluice_channel.channels import CompiledContent
from sluice_channel.domain import gates, windows
from sluice_channel.domain.gates import Hold, JobFacts, Verdict
from sluice_channel.planning import PageFacts, Planner
from sluice_channel.provider import Limits, SmsMessage
from sluice_channel.rendering import PageRenderer
from sluice_contracts.messages.command import CommandedJobs, JobsCommanded
from sluice_contracts.messages.content import InlineSms, SendWindow
from sluice_contracts.vocabulary import Category, Channel, FilterCode, JobState, Lane, SuppressionReason

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ADDRESS = "+14155550123"


class Kind:
    channel = Channel.SMS

    def is_address(self, address: str) -> bool:
        return address.startswith("+")

    def compile(self, content: Any) -> CompiledContent:
        raise NotImplementedError

    def address_to(self, message: Any, envelope: Any) -> Any:
        return message

    def segments(self, message: Any) -> int:
        return 2


class Hello:
    def render(self, values: Any) -> SmsMessage:
        return SmsMessage("Hello", "GSM-7", 1)


class NoProvider:
    channel = Channel.SMS
    name = "none"
    limits = Limits()


def account() -> ActiveAccount:
    row = ProviderAccount(UUID(int=1), UUID(int=2), Channel.SMS, "none", "None", {}, {})
    return ActiveAccount(row, NoProvider())  # type: ignore[arg-type]


def command(**changes: Any) -> JobsCommanded:
    columns: dict[str, Any] = {
        "seq": [0],
        "contact_id": [None],
        "external_id": [None],
        "address": [ADDRESS],
        "country": ["US"],
        "locale": [None],
        "timezone": [None],
        "opt_outs": [None],
        "verdict": [None],
        "verdict_detail": [None],
        "attempts": [0],
    }
    columns.update({name: [changes.pop(name)] for name in list(changes) if name in columns})
    fields: dict[str, Any] = {
        "workspace_id": UUID(int=2),
        "trigger_id": uuid4(),
        "execution_id": uuid4(),
        "page": 0,
        "channel": Channel.SMS,
        "lane": Lane.BULK,
        "category": Category.MARKETING,
        "accepted_at": NOW,
        "content": InlineSms(text="Hello"),
        "jobs": CommandedJobs(**columns),
    }
    return JobsCommanded(**{**fields, **changes})


@given(
    category=st.sampled_from(list(Category)),
    address=st.sampled_from([ADDRESS, None, "", "nonsense"]),
    verdict=st.none() | st.sampled_from(list(FilterCode)),
    suppression=st.none() | st.sampled_from(list(SuppressionReason)),
    opt_outs=st.sampled_from([None, [], ["*"], ["marketing"], ["utility"]]),
    window=st.sampled_from([None, SendWindow(), SendWindow(opens="15:00"), SendWindow(opens="15:00", outside="drop")]),
    expires_in=st.sampled_from([None, -1, 1, 100]),
    configured=st.booleans(),
    dry_run=st.booleans(),
    stop=st.sampled_from([None, "cancelled"]),
)
def test_the_plan_says_what_the_gates_say(
    category: Category,
    address: str | None,
    verdict: FilterCode | None,
    suppression: SuppressionReason | None,
    opt_outs: list[str] | None,
    window: SendWindow | None,
    expires_in: int | None,
    configured: bool,
    dry_run: bool,
    stop: Any,
) -> None:
    expires_at = None if expires_in is None else NOW + timedelta(hours=expires_in)
    given_command = command(
        category=category,
        address=address,
        verdict=verdict,
        opt_outs=opt_outs,
        window=window,
        expires_at=expires_at,
        dry_run=dry_run,
    )
    suppressions = {} if suppression is None else {ADDRESS: suppression}
    page = PageFacts(
        given_command,
        account() if configured else None,
        {ADDRESS},
        suppressions,
        PageRenderer(given_command, inline=Hello()),
    )
    wave = Planner(Kind(), b"key").plan(page, range(1), stop, NOW)
    (report,), (message,) = wave.reports, wave.messages
    facts = JobFacts(
        category=category,
        address=address,
        address_is_valid=not address or address == ADDRESS,
        cancelled=stop == "cancelled",
        known=None if verdict is None else gates.verdict(verdict),
        suppression=suppressions.get(address or ""),
        opt_outs=opt_outs,
        window=None if window is None else windows.standing(window, None, NOW),
        drops_outside_window=window is not None and window.outside == "drop",
        expires_at=expires_at,
        provider_configured=configured,
        dry_run=dry_run,
    )
    match gates.decide(facts, NOW):
        case Verdict(code, detail):
            assert (report.code, report.detail) == (code, detail)
            assert report.state is (JobState.CANCELLED if code is FilterCode.CANCELLED else JobState.FILTERED)
        case Hold():
            assert report.state is JobState.HELD
        case None:
            assert report.state is JobState.SENDING
            assert message is not None
            assert message.address == ADDRESS
            assert (report.segments, report.cost_micros) == (2, 2 * 8300)
    assert (message is None) is (report.state is not JobState.SENDING)


def test_a_message_about_nobody_in_particular_is_rendered_once() -> None:
    rendered: list[object] = []

    class Counting:
        def render(self, values: Any) -> SmsMessage:
            rendered.append(values)
            return SmsMessage("Hello", "GSM-7", 1)

    columns = command().jobs.model_dump()
    many = CommandedJobs(**{name: value * 3 for name, value in columns.items() if name != "fields"})
    same = command(jobs=many)
    page = PageFacts(same, account(), {ADDRESS}, {}, PageRenderer(same, inline=Counting()))
    Planner(Kind(), b"key").plan(page, range(3), None, NOW)
    assert len(rendered) == 1
    personal = command(jobs=many.model_copy(update={"fields": {"name": ["A", "B", "C"]}}))
    page = PageFacts(personal, account(), {ADDRESS}, {}, PageRenderer(personal, inline=Counting()))
    Planner(Kind(), b"key").plan(page, range(3), None, NOW)
    assert [values["name"] for values in rendered[1:]] == ["A", "B", "C"]  # type: ignore[index]
