"""How far a job has come, as one integer that only grows.

Reports about a job come repeated and in any order; the highest integer wins. Its bits, from the top: proven to be
sent, epoch (14), rank of the state (3), attempt (12). A proof that a provider took the message outranks every epoch:
whatever a later retry of that job ends in, it was sent.
"""

from __future__ import annotations

from typing import Final

from sluice_contracts.vocabulary import JobState

ATTEMPT_BITS: Final = 12
RANK_BITS: Final = 3
EPOCH_BITS: Final = 14

_RANK_SHIFT: Final = ATTEMPT_BITS
_EPOCH_SHIFT: Final = ATTEMPT_BITS + RANK_BITS
_SENT_FLAG: Final = 1 << (_EPOCH_SHIFT + EPOCH_BITS)
_LAST_RANK: Final = (1 << RANK_BITS) - 1
_LAST_ATTEMPT: Final = (1 << ATTEMPT_BITS) - 1
_LAST_EPOCH: Final = (1 << EPOCH_BITS) - 1
_STATES: Final = tuple(JobState)

LEAST_BITS: Final[dict[JobState, int]] = {
    state: (_SENT_FLAG if state is JobState.SENT else 0) | state.rank << _RANK_SHIFT for state in JobState
}
"""The bits that a state contributes by itself."""


def pack(epoch: int, state: JobState, attempt: int) -> int:
    """Return the integer for a report; epochs and attempts beyond what fits count as the highest that does."""
    return LEAST_BITS[state] | min(epoch, _LAST_EPOCH) << _EPOCH_SHIFT | min(attempt, _LAST_ATTEMPT)


def state_of(progress: int) -> JobState:
    """Return the state that `progress` stands for; 0, about which nothing was reported, is `pending`."""
    return _STATES[rank_of(progress)]


def rank_of(progress: int) -> int:
    """Return the rank of that state."""
    return progress >> _RANK_SHIFT & _LAST_RANK


def epoch_of(progress: int) -> int:
    """Return which of an operator's retries `progress` belongs to, 0 for the first time."""
    return progress >> _EPOCH_SHIFT & _LAST_EPOCH


def attempt_of(progress: int) -> int:
    """Return the number of the hand-over that `progress` belongs to."""
    return progress & _LAST_ATTEMPT
