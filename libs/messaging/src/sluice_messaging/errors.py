"""What can go wrong with messages, said by those who handle them to those who deliver them."""

from __future__ import annotations


class TransientError(Exception):
    """What failed will work later: the same records are handled again, after a pause, until they succeed."""


class BrokerUnavailableError(TransientError):
    """The broker did not answer, or not in time. What was being published may or may not have arrived."""


class PoisonError(Exception):
    """These records can never be handled. They go to the dead letters, with this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RecordTooLargeError(PoisonError):
    """A record is larger than the broker takes, today and tomorrow."""


class DeadLetterLimitError(Exception):
    """So much goes to the dead letters that the fault is ours: the consumer stops before it drains the topic there."""


class OffsetOrderError(Exception):
    """A partition gave an offset that is not after the last one: its log was cut or made anew."""
