"""What becomes of the jobs of a command: sent, filtered, held, failed, cancelled, and how it is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from sluice_catalog.models import ProviderAccount, Suppression
from sluice_channel.domain.circuit import FIRST_COOLDOWN
from sluice_channel.domain.outcomes import MAX_ATTEMPTS
from sluice_channel.provider import (
    Accepted,
    Ambiguous,
    Limits,
    OutboundMessage,
    Provider,
    RejectAccount,
    RejectMessage,
    RejectRecipient,
    Retry,
    SmsMessage,
)
from sluice_channel.reports import to_milliseconds
from sluice_contracts import topics
from sluice_contracts.messages.content import InlineEmail, MissingTemplate, Sender, SendWindow
from sluice_contracts.messages.control import TriggerControl
from sluice_contracts.vocabulary import (
    Category,
    Channel,
    FailureCode,
    FilterCode,
    HoldCode,
    JobState,
    Lane,
    MessageState,
    SuppressionReason,
)
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record, outbound

pytestmark = pytest.mark.integration


async def test_a_page_is_sent_and_answered_in_full(bench) -> None:
    command = bench.command(
        200, text="Hi {{first_name}}", columns={"fields": {"first_name": [f"Ann{n}" for n in range(200)]}}
    )
    worker = await bench.worker()
    await worker.commands.handle(bench.record(command))
    (answer,) = bench.reports()
    assert (answer.answers_round, answer.page, answer.trigger_id) == (0, 0, command.trigger_id)
    jobs = answer.jobs
    assert jobs.seq == command.jobs.seq
    assert jobs.state == [JobState.SENT] * 200
    assert jobs.message == [MessageState.ACCEPTED] * 200
    assert jobs.external_id == command.jobs.external_id
    assert jobs.address == command.jobs.address
    assert jobs.attempt == [1] * 200
    assert jobs.provider == ["scripted"] * 200
    assert jobs.segments == [1] * 200
    assert jobs.cost_micros == [8300] * 200
    by_job = {message.job_id: message for message in bench.provider.handed_over}
    message = by_job[f"{command.execution_id.hex}-7"]
    assert message.content == SmsMessage("Hi Ann7", "GSM-7", 1)
    assert message.reference == bench.reference(command, 7)


async def test_sparse_positions_keep_their_own_numbers(bench) -> None:
    command = bench.command(3, columns={"seq": [401, 415, 599]}, page=2)
    reports = await bench.carry_out(command)
    assert [report.seq for report in reports] == [401, 415, 599]


async def test_each_job_fails_the_first_gate_that_stops_it(bench) -> None:
    worker = await bench.worker()
    reasons = [SuppressionReason.HARD_BOUNCE, SuppressionReason.COMPLAINT, SuppressionReason.STOP]
    suppressed = [f"+1415555{n:04d}" for n in range(3)]
    await worker.catalog.suppress(
        [
            Suppression(bench.workspace, Channel.SMS, address, reason)
            for address, reason in zip(suppressed, reasons, strict=True)
        ]
    )
    command = bench.command(
        10,
        text="Hi {{first_name}}",
        addresses=[*suppressed, None, "no number", *(f"+1415556{n:04d}" for n in range(5))],
        columns={
            "opt_outs": [None] * 5 + [["*"], ["marketing"], ["utility"], None, None],
            "verdict": [None] * 8 + [FilterCode.CONDITION_FALSE, None],
            "verdict_detail": [None] * 8 + ["plan == 'pro'", None],
            "fields": {"first_name": ["Ann"] * 9 + [None]},
        },
    )
    reports = await bench.carry_out(command, worker)
    assert [report.code for report in reports] == [
        FilterCode.SUPPRESSED_HARD_BOUNCE,
        FilterCode.SUPPRESSED_COMPLAINT,
        FilterCode.SUPPRESSED_STOP,
        FilterCode.NO_ADDRESS_FOR_CHANNEL,
        FilterCode.INVALID_ADDRESS,
        FilterCode.UNSUBSCRIBED_CHANNEL,
        FilterCode.PREFERENCE_CATEGORY_OFF,
        None,
        FilterCode.CONDITION_FALSE,
        FilterCode.TEMPLATE_MISSING_VARIABLE,
    ]
    assert reports[8].detail == "plan == 'pro'"
    assert "first_name" in (reports[9].detail or "")
    assert len(bench.provider.handed_over) == 1
    assert all(report.cost_micros is None and report.provider is None for report in reports if report.code)


async def test_an_unsubscribed_address_still_gets_its_code(bench) -> None:
    worker = await bench.worker()
    await worker.catalog.suppress(
        [Suppression(bench.workspace, Channel.SMS, "+14155550000", SuppressionReason.UNSUBSCRIBED)]
    )
    marketing = await bench.carry_out(bench.command(1), worker)
    code = await bench.carry_out(bench.command(1, category=Category.AUTHENTICATION), worker)
    assert (marketing[0].code, code[0].state) == (FilterCode.UNSUBSCRIBED_CHANNEL, JobState.SENT)


@pytest.mark.parametrize("content", [MissingTemplate(key="gone"), InlineEmail(subject="Hi", html="Hi")])
async def test_a_template_that_is_missing_filters_everybody(bench, content) -> None:
    reports = await bench.carry_out(bench.command(2, content=content))
    assert {report.code for report in reports} == {FilterCode.TEMPLATE_MISSING}


async def test_a_template_that_is_none_fails(bench) -> None:
    reports = await bench.carry_out(bench.command(2, text="Hi {% if %}"))
    assert {(report.state, report.code) for report in reports} == {(JobState.FAILED, FailureCode.RENDER_ERROR)}


async def test_a_dry_run_renders_and_sends_nothing(bench) -> None:
    reports = await bench.carry_out(bench.command(3, dry_run=True))
    assert {report.code for report in reports} == {FilterCode.DRY_RUN}
    missing = await bench.carry_out(bench.command(1, dry_run=True, text="{{nobody_gave_this}}"))
    assert missing[0].code == FilterCode.TEMPLATE_MISSING_VARIABLE
    assert not bench.provider.handed_over


async def test_a_workspace_without_an_account_is_told_so(bench) -> None:
    await bench.execute("DELETE FROM catalog.provider_accounts WHERE channel = 'sms'")
    reports = await bench.carry_out(bench.command(2))
    assert {report.code for report in reports} == {FilterCode.PROVIDER_NOT_CONFIGURED}


async def test_another_workspaces_account_is_not_to_be_had(bench) -> None:
    command = bench.command(1, workspace_id=uuid4(), sender=Sender(account_id=bench.account))
    (report,) = await bench.carry_out(command)
    assert report.code == FilterCode.PROVIDER_NOT_CONFIGURED


async def test_what_is_for_the_sandbox_never_goes_to_a_real_provider(bench) -> None:
    (report,) = await bench.carry_out(bench.command(1, sender=Sender(sandbox=True, account_id=bench.account)))
    assert report.code == FilterCode.PROVIDER_NOT_CONFIGURED
    assert not bench.provider.handed_over


async def test_outside_the_window_a_job_waits_for_the_opening_in_its_own_zone(bench) -> None:
    """It is noon in London, seven in the morning in New York, nine in the evening in Tokyo."""
    window = SendWindow(opens="09:00", closes="20:00")
    command = bench.command(3, window=window, columns={"timezone": ["Europe/London", "America/New_York", "Asia/Tokyo"]})
    london, new_york, tokyo = await bench.carry_out(command)
    assert london.state is JobState.SENT
    assert (new_york.state, new_york.code) == (JobState.HELD, HoldCode.OUTSIDE_WINDOW)
    assert new_york.until == to_milliseconds(bench.clock.now() + timedelta(hours=2))
    assert tokyo.until == to_milliseconds(bench.clock.now() + timedelta(hours=12))


async def test_a_job_that_would_expire_before_its_window_opens_is_filtered(bench) -> None:
    command = bench.command(
        1,
        window=SendWindow(opens="09:00", closes="10:00", default_timezone="UTC"),
        expires_at=bench.clock.now() + timedelta(hours=3),
    )
    (report,) = await bench.carry_out(command)
    assert (report.state, report.code) == (JobState.FILTERED, FilterCode.OUTSIDE_WINDOW)


async def test_a_code_passes_the_window_and_the_preferences(bench) -> None:
    command = bench.command(
        1,
        category=Category.AUTHENTICATION,
        window=SendWindow(opens="02:00", closes="03:00"),
        columns={"opt_outs": [["*"]]},
    )
    (report,) = await bench.carry_out(command)
    assert report.state is JobState.SENT


async def test_an_expired_job_is_not_sent(bench) -> None:
    (report,) = await bench.carry_out(bench.command(1, expires_at=bench.clock.now()))
    assert report.code == FilterCode.EXPIRED_BEFORE_SEND


async def test_cancelled_and_paused_take_hold_between_waves(bench) -> None:
    worker = await bench.worker()
    command = bench.command(150)

    def say(mode: str) -> None:
        control = TriggerControl(
            trigger_id=command.trigger_id,
            workspace_id=bench.workspace,
            at=bench.clock.now(),
            mode=mode,  # type: ignore[arg-type]
        )
        sent = outbound(topics.CONTROL, control)
        worker.controls.observe(Record(sent.topic, 0, 0, sent.key, sent.value, {}, 0))

    async def pause_then_cancel(_: object) -> None:
        say("paused" if len(bench.provider.handed_over) < 50 else "cancelled")

    bench.provider.limits = Limits(batch=50, concurrency=1)
    bench.provider.after = pause_then_cancel
    reports = await bench.carry_out(command, worker)
    assert [report.state for report in reports] == [JobState.SENT] * 50 + [JobState.CANCELLED] * 100
    assert {report.code for report in reports[50:]} == {FilterCode.CANCELLED}
    say("paused")
    held = await bench.carry_out(bench.command(2, trigger_id=command.trigger_id), worker)
    assert {(r.state, r.code, r.until) for r in held} == {(JobState.HELD, HoldCode.PAUSED, None)}
    say("running")
    sent = await bench.carry_out(bench.command(2, trigger_id=command.trigger_id), worker)
    assert {report.state for report in sent} == {JobState.SENT}


async def test_every_outcome_becomes_what_it_should(bench) -> None:
    outcomes = [
        Accepted("p1", MessageState.DELIVERED, segments=3),
        Retry("503", "Unavailable", after=60),
        RejectRecipient("21211", "No such number", SuppressionReason.HARD_BOUNCE),
        RejectMessage("21617", "Too long"),
        Ambiguous("reset"),
    ]
    bench.provider.script = lambda message: outcomes[int(message.job_id[-1])]
    worker = await bench.worker()
    accepted, retry, recipient, message, ambiguous = await bench.carry_out(bench.command(5), worker)
    assert (accepted.state, accepted.message, accepted.segments) == (JobState.SENT, MessageState.DELIVERED, 3)
    assert (retry.state, retry.code, retry.attempt) == (JobState.HELD, HoldCode.RETRY, 1)
    assert retry.until is not None
    assert retry.until >= to_milliseconds(bench.clock.now() + timedelta(seconds=60))
    assert (recipient.state, recipient.code, recipient.detail) == (
        JobState.FAILED,
        FailureCode.RECIPIENT_REJECTED,
        "21211: No such number",
    )
    assert (message.state, message.code) == (JobState.FAILED, FailureCode.MESSAGE_REJECTED)
    assert (ambiguous.state, ambiguous.code) == (JobState.FAILED, FailureCode.UNCERTAIN)
    assert retry.cost_micros is None
    suppressed = await worker.catalog.suppressions_among(bench.workspace, Channel.SMS, ["+14155550002", "+14155550003"])
    assert suppressed == {"+14155550002": SuppressionReason.HARD_BOUNCE}


async def test_a_job_is_given_up_after_its_last_attempt(bench) -> None:
    bench.provider.script = lambda message: Retry("503", "Unavailable")
    (report,) = await bench.carry_out(bench.command(1, round=4, columns={"attempts": [MAX_ATTEMPTS - 1]}))
    assert (report.state, report.code, report.attempt) == (
        JobState.FAILED,
        FailureCode.RETRIES_EXHAUSTED,
        MAX_ATTEMPTS,
    )


async def test_too_many_requests_burn_no_attempt_and_pause_the_account(bench) -> None:
    bench.provider.limits = Limits(batch=1, concurrency=1)
    bench.provider.script = lambda message: Retry("429", "Slow down", after=30, scope="account", burns_attempt=False)
    worker = await bench.worker()
    reports = await bench.carry_out(bench.command(3), worker)
    assert {(r.state, r.code, r.attempt) for r in reports} == {(JobState.HELD, HoldCode.RATE, 0)}
    assert len(bench.provider.handed_over) == 1
    bench.clock.advance(timedelta(seconds=31))
    bench.provider.script = lambda message: Accepted(None)
    assert {r.state for r in await bench.carry_out(bench.command(3), worker)} == {JobState.SENT}


async def test_a_refused_account_keeps_its_messages_until_a_probe_succeeds(bench) -> None:
    bench.provider.limits = Limits(batch=1, concurrency=1)
    bench.provider.script = lambda message: RejectAccount("20003", "Authenticate")
    worker = await bench.worker()
    reports = await bench.carry_out(bench.command(5), worker)
    assert {(r.state, r.code, r.attempt) for r in reports} == {(JobState.HELD, HoldCode.PROVIDER_UNAVAILABLE, 0)}
    assert len(bench.provider.handed_over) == 1
    await bench.carry_out(bench.command(5), worker)
    assert len(bench.provider.handed_over) == 1
    bench.clock.advance(FIRST_COOLDOWN)
    await bench.carry_out(bench.command(5), worker)
    assert len(bench.provider.handed_over) == 2
    bench.clock.advance(FIRST_COOLDOWN * 2)
    bench.provider.script = lambda message: Accepted(None)
    assert {r.state for r in await bench.carry_out(bench.command(5), worker)} == {JobState.SENT}


async def test_a_provider_that_raises_leaves_its_messages_uncertain(bench) -> None:
    async def burst(_: object) -> None:
        raise RuntimeError("a bug")

    bench.provider.after = burst
    (report,) = await bench.carry_out(bench.command(1))
    assert (report.state, report.code) == (JobState.FAILED, FailureCode.UNCERTAIN)


async def test_a_changed_account_is_used_at_once(bench) -> None:
    worker = await bench.worker()
    await bench.carry_out(bench.command(1), worker)
    before = await worker.accounts.find(bench.account)
    await bench.execute(
        "UPDATE catalog.provider_accounts SET rate_per_second = 7 WHERE id = $1",
        bench.account,
    )
    worker.catalog.forget()
    after = await worker.accounts.find(bench.account)
    assert before is not None
    assert after is not None
    assert (before.rate_per_second, after.rate_per_second) == (None, 7)


async def test_a_code_does_not_queue_behind_a_campaign_for_a_place_at_the_provider(bench) -> None:
    worker = await bench.worker()
    bench.provider.limits = Limits(batch=1, concurrency=4)
    campaign_may_end = asyncio.Event()

    async def keep_campaigns_waiting(messages: Sequence[OutboundMessage]) -> None:
        if messages[0].sender == "campaign":
            await campaign_may_end.wait()

    bench.provider.after = keep_campaigns_waiting
    campaign = asyncio.create_task(bench.carry_out(bench.command(50, sender=Sender(sender="campaign")), worker))
    code = bench.command(1, category=Category.AUTHENTICATION, lane=Lane.PRIORITY)
    (report,) = await asyncio.wait_for(bench.carry_out(code, worker), 60)
    assert report.state is JobState.SENT
    assert not campaign.done()
    campaign_may_end.set()
    assert {r.state for r in await campaign} == {JobState.SENT}


async def test_an_account_whose_provider_cannot_be_made_counts_as_none(bench) -> None:
    worker = await bench.worker()

    def broken(account: ProviderAccount) -> Provider:
        raise KeyError("account_sid")

    worker.accounts._factories = {"scripted": broken}
    (report,) = await bench.carry_out(bench.command(1), worker)
    assert report.code == FilterCode.PROVIDER_NOT_CONFIGURED


@pytest.mark.parametrize("value", [b"{", b"{}"])
async def test_what_is_no_command_is_poison(bench, value) -> None:
    worker = await bench.worker()
    with pytest.raises(PoisonError):
        await worker.commands.handle(Record("commands.sms.bulk", 0, 0, b"k", value, {}, 0))


async def test_a_command_for_another_channel_is_poison(bench) -> None:
    worker = await bench.worker()
    command = bench.command(1, channel=Channel.EMAIL)
    with pytest.raises(PoisonError):
        await worker.commands.handle(bench.record(command))


async def test_poison_is_put_aside_and_what_follows_is_carried_out(bench, until) -> None:
    worker = await bench.worker()
    command = bench.command(2, lane=Lane.PRIORITY)
    topic = topics.commands(Channel.SMS, Lane.PRIORITY)
    publisher = worker.messaging.publisher
    await publisher.publish([outbound(topic, command)])
    poison = outbound(topic, command)
    await publisher.publish([type(poison)(topic, b"k", b"{", dict(poison.headers))])
    stop = asyncio.Event()
    loops = [asyncio.create_task(loop(stop)) for name, loop in worker.loops().items() if name != "catalog-listener"]
    await until(lambda: bench.reports() and bench.broker.records(f"{topic}.dlq"))
    stop.set()
    await asyncio.gather(*loops)
    assert bench.reports()[0].jobs.state == [JobState.SENT] * 2
    assert bench.broker.lag("channel-sms-priority", topic) == 0
