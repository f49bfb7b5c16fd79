"""Every reply code has one meaning, and the enhanced code wins."""

from __future__ import annotations

import pytest

from channel_email.providers.smtp.replies import GREYLIST_SECONDS, Reply, outcome_of_refusal
from sluice_channel.provider import RejectAccount, RejectMessage, RejectRecipient, Retry
from sluice_contracts.vocabulary import SuppressionReason


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (421, "4.3.2 shutting down", Retry),
        (450, "4.2.0 greylisted", Retry),
        (452, "4.2.2 mailbox full", Retry),
        (451, "try later", Retry),
        (550, "5.1.1 no such user", RejectRecipient),
        (552, "5.2.2 mailbox full", RejectRecipient),
        (552, "5.3.4 message too big", RejectMessage),
        (554, "5.7.1 spam", RejectMessage),
        (550, "5.7.26 unauthenticated user address unknown", RejectMessage),
        (535, "5.7.8 bad password", RejectAccount),
        (530, "5.7.0 authentication needed", RejectAccount),
        (503, "5.5.1 out of order", RejectMessage),
        (550, "User unknown", RejectRecipient),
        (550, "mailbox not found", RejectRecipient),
        (554, "go away", RejectMessage),
    ],
)
def test_a_refusal_means_what_its_code_says(code: int, text: str, kind: type) -> None:
    assert isinstance(outcome_of_refusal(Reply(code, text)), kind)


def test_only_an_address_that_is_gone_is_suppressed() -> None:
    gone = outcome_of_refusal(Reply(550, "5.1.1 no such user"))
    full = outcome_of_refusal(Reply(552, "5.2.2 full"))
    assert isinstance(gone, RejectRecipient)
    assert isinstance(full, RejectRecipient)
    assert (gone.suppress, full.suppress) == (SuppressionReason.HARD_BOUNCE, None)


def test_greylisting_waits_for_the_window_to_pass() -> None:
    outcome = outcome_of_refusal(Reply(450, "4.7.1 greylisted"))
    assert isinstance(outcome, Retry)
    assert outcome.after == GREYLIST_SECONDS


def test_a_shutting_down_relay_holds_the_connection_not_the_message() -> None:
    outcome = outcome_of_refusal(Reply(421, "4.3.2 bye"))
    assert isinstance(outcome, Retry)
    assert outcome.scope == "connection"


def test_an_enhanced_code_of_another_class_is_ignored() -> None:
    assert Reply(550, "4.2.0 confused").enhanced is None
