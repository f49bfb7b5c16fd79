"""What an exception means."""

from __future__ import annotations

import pytest

from sluice_messaging.errors import BrokerUnavailableError, PoisonError, RecordTooLargeError, TransientError
from sluice_messaging.policy import Verdict, judge
from sluice_messaging.ports import nothing_else


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (TransientError(), Verdict.TRANSIENT),
        (BrokerUnavailableError(), Verdict.TRANSIENT),
        (PoisonError("unreadable"), Verdict.POISON),
        (RecordTooLargeError("3 MB"), Verdict.POISON),
        (ValueError(), Verdict.BUG),
        (OSError(), Verdict.BUG),
        (ExceptionGroup("", [PoisonError("unreadable"), TransientError()]), Verdict.TRANSIENT),
        (ExceptionGroup("", [PoisonError("unreadable"), ExceptionGroup("", [ValueError()])]), Verdict.BUG),
        (ExceptionGroup("", [PoisonError("unreadable")]), Verdict.POISON),
    ],
)
def test_an_exception_is_judged_by_its_type_and_a_group_by_its_mildest(error: Exception, verdict: Verdict) -> None:
    assert judge(error, nothing_else) is verdict


def test_a_service_can_call_further_exceptions_transient_also_within_a_group() -> None:
    def is_transient(error: BaseException) -> bool:
        return isinstance(error, OSError)

    assert judge(ConnectionResetError(), is_transient) is Verdict.TRANSIENT
    assert judge(ExceptionGroup("", [ValueError(), TimeoutError()]), is_transient) is Verdict.TRANSIENT
    assert judge(ValueError(), is_transient) is Verdict.BUG
