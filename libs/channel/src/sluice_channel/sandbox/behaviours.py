"""The magic addresses: what the sandbox does for each, so that every way to fail can be tried out."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Behaviour(StrEnum):
    """What happens to a message to an address."""

    DELIVERED = "delivered"
    INVALID = "invalid"
    BOUNCE = "bounce"
    FLAKY = "flaky"
    THROTTLED = "throttled"
    SILENT = "silent"
    OPT_OUT = "optout"
    COMPLAINT = "complaint"
    ENGAGED = "engaged"
    AMBIGUOUS = "ambiguous"


REFUSALS: Final = {Behaviour.FLAKY: 2, Behaviour.THROTTLED: 1}
"""How often a job is refused before it is accepted."""

ACCEPTING: Final = frozenset(Behaviour) - {Behaviour.INVALID, *REFUSALS}
"""Behaviours under which the first hand-over of a message already reaches its recipient."""

WITHOUT_RECEIPTS: Final = frozenset({Behaviour.SILENT, Behaviour.AMBIGUOUS})

_NUMBERS: Final = {
    "+15005550001": Behaviour.INVALID,
    "+15005550002": Behaviour.BOUNCE,
    "+15005550003": Behaviour.FLAKY,
    "+15005550004": Behaviour.THROTTLED,
    "+15005550005": Behaviour.SILENT,
    "+15005550007": Behaviour.OPT_OUT,
    "+15005550008": Behaviour.COMPLAINT,
    "+15005550009": Behaviour.ENGAGED,
    "+15005550010": Behaviour.AMBIGUOUS,
}
_DOMAIN: Final = "@sandbox.test"
_LOCAL_PARTS: Final = {behaviour.value: behaviour for behaviour in Behaviour if behaviour is not Behaviour.DELIVERED}


def behaviour_of(address: str) -> Behaviour:
    """Return what happens to a message to `address`; a mailbox at sandbox.test may carry any `+tag`."""
    number = _NUMBERS.get(address)
    if number is not None:
        return number
    if not address.endswith(_DOMAIN):
        return Behaviour.DELIVERED
    mailbox = address.removesuffix(_DOMAIN).partition("+")[0]
    return _LOCAL_PARTS.get(mailbox, Behaviour.DELIVERED)
