"""A circuit breaker for one provider account: while it is open, messages wait and only a probe may try. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

FIRST_COOLDOWN: Final = timedelta(seconds=10)
LONGEST_COOLDOWN: Final = timedelta(minutes=5)
FAULTS_TO_OPEN: Final = 20
"""Faults of the connection or the account in a row, with nothing accepted in between, that count as an outage."""

PROBE_WAIT: Final = timedelta(seconds=5)
PROBE_DEADLINE: Final = timedelta(seconds=60)
"""A probe that has not come back by then is forgotten, so that a lost one does not keep the circuit open for ever."""


class Circuit:
    """The state of one account in this process.

    Closed: everything may pass. Open: nothing may until `due`; then one hand-over may pass as a probe, whose
    outcome closes the circuit or opens it again for twice as long.
    """

    def __init__(self) -> None:
        self._cooldown = FIRST_COOLDOWN
        self._faults = 0
        self._due: datetime | None = None
        self._probe_until: datetime | None = None

    @property
    def is_closed(self) -> bool:
        """Whether everything may pass."""
        return self._due is None

    def admit(self, now: datetime) -> bool:
        """Say whether a hand-over may pass at `now`; on an open circuit that is due, a yes makes it the probe."""
        if self._due is None:
            return True
        if self.blocks(now):
            return False
        self._probe_until = now + PROBE_DEADLINE
        return True

    def blocks(self, now: datetime) -> bool:
        """Say whether `admit` would say no, without becoming the probe."""
        return self._due is not None and (
            now < self._due or (self._probe_until is not None and now < self._probe_until)
        )

    def due(self, now: datetime) -> datetime:
        """Return when it is worth coming back, where `admit` said no."""
        if self._due is None or self._due <= now:
            return now + PROBE_WAIT
        return self._due

    def succeed(self) -> None:
        """Note that the provider took, or refused for good, a message: the account works."""
        if self._due is None and not self._faults:
            return
        self._due = None
        self._probe_until = None
        self._faults = 0
        self._cooldown = FIRST_COOLDOWN

    def fault(self, now: datetime) -> None:
        """Note a passing fault of the connection or account; enough in a row open the circuit."""
        self._faults += 1
        if self._due is not None or self._faults >= FAULTS_TO_OPEN:
            self.refuse(now)

    def refuse(self, now: datetime) -> None:
        """Note that the provider refused the account itself: open, or stay open for longer."""
        if self._due is not None and now < self._due:
            return
        if self._due is not None:
            self._cooldown = min(self._cooldown * 2, LONGEST_COOLDOWN)
        self._due = now + self._cooldown
        self._probe_until = None
