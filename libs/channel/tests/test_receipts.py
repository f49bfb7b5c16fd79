"""What is said later: matched by the ledger, in any order, any number of times, even before the ledger knows."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest

from sluice_catalog.models import Suppression
from sluice_channel.parking import PATIENCE
from sluice_channel.provider import Ambiguous, Receipt
from sluice_contracts import topics
from sluice_contracts.messages.receipt import CallbackReceived, TrackingReceived
from sluice_contracts.vocabulary import (
    Category,
    Channel,
    Engagement,
    FailureCode,
    FilterCode,
    JobState,
    MessageState,
    SuppressionReason,
)
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record, outbound

pytestmark = pytest.mark.integration


def callback(bench, body: bytes = b"{}", account=None) -> Record:
    message = CallbackReceived(
        channel=Channel.SMS,
        workspace_id=bench.workspace,
        account_id=account or bench.account,
        provider="scripted",
        received_at=bench.clock.now(),
        body=b64encode(body).decode(),
    )
    sent = outbound(topics.receipts(Channel.SMS), message, b"key")
    return Record(sent.topic, 0, 0, sent.key, sent.value, dict(sent.headers), 0)


def tracking(bench, reference: str, engagement: Engagement, *, by_machine: bool = False) -> Record:
    message = TrackingReceived(
        channel=Channel.SMS,
        received_at=bench.clock.now(),
        reference=reference,
        engagement=engagement,
        by_machine=by_machine,
    )
    sent = outbound(topics.receipts(Channel.SMS), message, reference.encode())
    return Record(sent.topic, 0, 0, sent.key, sent.value, dict(sent.headers), 0)


async def bring(bench, worker, *receipts: Receipt) -> None:
    """Let the provider's callback say `receipts`."""
    bench.provider.receipts = list(receipts)
    await worker.receipts.handle([callback(bench)])


async def test_a_receipt_becomes_a_report_about_its_job(bench) -> None:
    worker = await bench.worker()
    command = bench.command(120, first=200, epoch=2)
    await bench.carry_out(command, worker)
    await bring(bench, worker, bench.delivered(command, 205), bench.delivered(command, 319))
    (report,) = bench.reports()
    assert (report.execution_id, report.page, report.answers_round) == (command.execution_id, 1, None)
    assert (report.trigger_id, report.workspace_id) == (command.trigger_id, bench.workspace)
    assert report.jobs.seq == [205, 319]
    assert report.jobs.message == [MessageState.DELIVERED] * 2
    assert report.jobs.state == [JobState.SENT] * 2
    assert report.jobs.epoch == [2, 2]


async def test_a_receipt_before_the_record_settles_the_job(bench, died) -> None:
    """The provider has it, and says so, before the worker has written that down; then the worker dies."""
    command = bench.command(3, category=Category.AUTHENTICATION)
    receiving = await bench.worker()

    async def receipt_and_death(_: object) -> None:
        await bring(bench, receiving, bench.delivered(command, 1))
        bench.provider.after = None
        raise died

    bench.provider.after = receipt_and_death
    await bench.die_while(command)
    await bench.let_leases_run_out()
    bench.provider.handed_over.clear()
    reports = await bench.carry_out(command)
    assert [report.state for report in reports] == [JobState.SENT] * 3
    assert [message.job_id[-1] for message in bench.provider.handed_over] == ["0", "2"]


async def test_a_receipt_proves_an_uncertain_job(bench) -> None:
    bench.provider.script = lambda message: Ambiguous("reset")
    worker = await bench.worker()
    command = bench.command(1)
    (report,) = await bench.carry_out(command, worker)
    assert report.code == FailureCode.UNCERTAIN
    await bring(bench, worker, bench.delivered(command, 0))
    assert bench.reports()[0].jobs.state == [JobState.SENT]
    (again,) = await bench.carry_out(command, worker)
    assert again.state is JobState.SENT


async def test_what_a_receipt_proves_while_it_waits_is_not_sent_again(bench) -> None:
    bench.provider.script = lambda message: Ambiguous("reset")
    worker = await bench.worker()
    command = bench.command(2, category=Category.AUTHENTICATION)
    first = await bench.carry_out(command, worker)
    assert {report.state for report in first} == {JobState.HELD}
    await bring(bench, worker, bench.delivered(command, 0))
    bench.provider.handed_over.clear()
    following = command.model_copy(update={"round": 1})
    reports = await bench.carry_out(following, worker)
    assert reports[0].state is JobState.SENT
    assert [message.job_id[-1] for message in bench.provider.handed_over] == ["1"]


async def test_the_order_of_receipts_changes_nothing_in_what_is_reported(bench) -> None:
    worker = await bench.worker()
    command = bench.command(1)
    await bench.carry_out(command, worker)
    reference = bench.reference(command, 0)
    receipts = [
        Receipt(reference, message=MessageState.SENT),
        Receipt(reference, message=MessageState.DELIVERED),
        Receipt(reference, message=MessageState.READ),
    ]
    for order in permutations(receipts):
        await bring(bench, worker, *order)
    for report in bench.reports():
        assert set(report.jobs.message) == {MessageState.SENT, MessageState.DELIVERED, MessageState.READ}
        assert set(report.jobs.state) == {JobState.SENT}


async def test_a_stop_suppresses_the_next_send(bench) -> None:
    worker = await bench.worker()
    command = bench.command(1)
    await bench.carry_out(command, worker)
    reference = bench.reference(command, 0)
    await bring(bench, worker, Receipt(reference, engagement=Engagement.UNSUBSCRIBED, suppress=SuppressionReason.STOP))
    (report,) = await bench.carry_out(bench.command(1), worker)
    assert report.code == FilterCode.SUPPRESSED_STOP
    await bring(bench, worker, Receipt(None, address="+14155550000", engagement=Engagement.REPLIED, resubscribe=True))
    (report,) = await bench.carry_out(bench.command(1), worker)
    assert report.state is JobState.SENT


@pytest.mark.parametrize("wishes", [("stop", "start"), ("start", "stop"), ("stop", "start", "stop")])
async def test_the_last_of_several_wishes_holds(bench, wishes) -> None:
    worker = await bench.worker()
    said = {
        "stop": Receipt(None, address="+14155550000", suppress=SuppressionReason.STOP),
        "start": Receipt(None, address="+14155550000", resubscribe=True),
    }
    await bring(bench, worker, *(said[wish] for wish in wishes))
    (report,) = await bench.carry_out(bench.command(1), worker)
    assert report.code == (FilterCode.SUPPRESSED_STOP if wishes[-1] == "stop" else None)


async def test_a_start_takes_back_a_stop_and_nothing_else(bench) -> None:
    worker = await bench.worker()
    await worker.catalog.suppress(
        [Suppression(bench.workspace, Channel.SMS, "+14155550000", SuppressionReason.HARD_BOUNCE)]
    )
    await bring(bench, worker, Receipt(None, address="+14155550000", resubscribe=True))
    (report,) = await bench.carry_out(bench.command(1), worker)
    assert report.code == FilterCode.SUPPRESSED_HARD_BOUNCE


async def test_an_unsubscribe_by_link_turns_the_category_off_for_the_contact(bench) -> None:
    worker = await bench.worker()
    contact = uuid4()
    await bench.execute(
        "INSERT INTO catalog.contacts (id, workspace_id, external_id, status, created_at, updated_at) "
        "VALUES ($1, $2, 'user_0', 'active', now(), now())",
        contact,
        bench.workspace,
    )
    command = bench.command(1)
    await bench.carry_out(command, worker)
    await worker.receipts.handle([tracking(bench, bench.reference(command, 0), Engagement.UNSUBSCRIBED)])
    (known,) = await worker.catalog.contacts_by_id(bench.workspace, [contact])
    assert known.opt_outs == {"sms": ["marketing"]}
    assert bench.reports()[0].jobs.engagement == [Engagement.UNSUBSCRIBED]


async def test_a_machine_that_looks_at_every_link_is_not_a_reader(bench) -> None:
    worker = await bench.worker()
    command = bench.command(1)
    await bench.carry_out(command, worker)
    reference = bench.reference(command, 0)
    await worker.receipts.handle([tracking(bench, reference, Engagement.CLICKED, by_machine=True)])
    assert not bench.reports()
    await worker.receipts.handle([tracking(bench, reference, Engagement.CLICKED)])
    assert bench.reports()[0].jobs.engagement == [Engagement.CLICKED]


async def test_a_receipt_without_its_message_waits_for_it(bench) -> None:
    worker = await bench.worker()
    command = bench.command(1)
    await bring(bench, worker, bench.delivered(command, 0))
    assert not bench.reports()
    await bench.carry_out(command, worker)
    assert await worker.parking.retry(worker.receipts.apply) == 0
    bench.clock.advance(timedelta(seconds=3))
    assert await worker.parking.retry(worker.receipts.apply) == 1
    assert bench.reports()[0].jobs.message == [MessageState.DELIVERED]
    bench.clock.advance(timedelta(hours=1))
    assert await worker.parking.retry(worker.receipts.apply) == 0


async def test_a_receipt_whose_message_never_comes_is_given_up(bench) -> None:
    worker = await bench.worker()
    await bring(bench, worker, bench.delivered(bench.command(1), 0))
    tries = 0
    while await bench.fetch("SELECT 1 FROM parked_receipts"):
        bench.clock.advance(timedelta(minutes=6))
        tries += await worker.parking.retry(worker.receipts.apply)
    assert 5 < tries <= PATIENCE / timedelta(minutes=5) + 1
    assert not bench.reports()


async def test_a_receipt_from_another_workspaces_account_says_nothing(bench) -> None:
    worker = await bench.worker()
    command = bench.command(1)
    await bench.carry_out(command, worker)
    await bench.execute("UPDATE waves SET workspace_id = gen_random_uuid()")
    await bring(bench, worker, bench.delivered(command, 0))
    assert not bench.reports()


async def test_a_forged_reference_says_nothing(bench) -> None:
    worker = await bench.worker()
    await bring(bench, worker, Receipt("a" * 48, message=MessageState.DELIVERED))
    assert not bench.reports()
    assert not await bench.fetch("SELECT 1 FROM parked_receipts")


async def test_a_reply_by_address_belongs_to_the_newest_message(bench) -> None:
    bench.provider.matches_replies_by_address = True
    worker = await bench.worker()
    older, newer = bench.command(1), bench.command(1)
    await bench.carry_out(older, worker)
    bench.clock.advance(timedelta(seconds=1))
    await bench.carry_out(newer, worker)
    await bring(bench, worker, Receipt(None, address="+14155550000", engagement=Engagement.REPLIED))
    (report,) = bench.reports()
    assert report.execution_id == newer.execution_id
    assert report.jobs.engagement == [Engagement.REPLIED]


async def test_conversations_are_not_kept_where_nobody_needs_them(bench) -> None:
    await bench.carry_out(bench.command(3))
    assert not await bench.fetch("SELECT 1 FROM conversations")


async def test_a_callback_that_cannot_be_read_is_poison(bench) -> None:
    worker = await bench.worker()
    with pytest.raises(PoisonError):
        await worker.receipts.handle([callback(bench, b"garbage")])
    with pytest.raises(PoisonError):
        await worker.receipts.handle([callback(bench, account=uuid4())])
