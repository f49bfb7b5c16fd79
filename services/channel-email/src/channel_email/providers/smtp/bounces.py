"""Bounces (RFC 3464 delivery status notifications) and complaints (RFC 5965 feedback reports), as mail brings them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from typing import Final

from sluice_channel.provider import Receipt
from sluice_contracts.vocabulary import Engagement, MessageState, SuppressionReason

_REFERENCE: Final = re.compile(r"\b(?:b\+)?([a-z2-7]{48})@", re.IGNORECASE)
_ENVELOPE_ID: Final = re.compile(r"^[a-z2-7]{48}$")
_HARD: Final = re.compile(r"^5\.(1\.(1|2|3|6|10)|2\.1|4\.4)$")
_FINAL_ACTIONS: Final = {"failed": MessageState.BOUNCED, "delivered": MessageState.DELIVERED}


def read_report(raw: bytes) -> list[Receipt]:
    """Read one mail that came back to the return path.

    An automatic reply is nobody's fault and yields nothing. Raises ValueError when the mail is neither that nor a
    report, or when no message of ours can be recognised in it.
    """
    mail = BytesParser(policy=compat32).parsebytes(raw)
    kinds = {part.get_content_type() for part in mail.walk()}
    if "message/delivery-status" in kinds:
        return _delivery_status(mail)
    if "message/feedback-report" in kinds:
        return [_complaint(mail)]
    if mail.get("Auto-Submitted", "no").lower() != "no":
        return []
    raise ValueError("the mail is neither a delivery status notification nor a feedback report")


def _delivery_status(mail: Message) -> list[Receipt]:
    blocks = [
        block
        for part in _parts(mail, "message/delivery-status")
        for block in part.get_payload()
        if isinstance(block, Message)
    ]
    envelope_id = str(blocks[0].get("Original-Envelope-Id", "")) if blocks else ""
    reference = envelope_id if _ENVELOPE_ID.match(envelope_id) else _reference_in(mail)
    receipts = []
    for block in blocks[1:]:
        state = _FINAL_ACTIONS.get(str(block.get("Action", "")).strip().lower())
        if state is None:
            continue
        status = str(block.get("Status", "")).strip().split(" ")[0]
        bounced = state is MessageState.BOUNCED
        receipts.append(
            Receipt(
                reference,
                message=state,
                code=status or None,
                detail=str(block.get("Diagnostic-Code", "")).strip() or None,
                # Final but soft (a mailbox that stayed full until the relay gave up) is no reason to suppress.
                suppress=SuppressionReason.HARD_BOUNCE if bounced and _HARD.match(status) else None,
            )
        )
    return receipts


def _complaint(mail: Message) -> Receipt:
    return Receipt(_reference_in(mail), engagement=Engagement.COMPLAINED, suppress=SuppressionReason.COMPLAINT)


def _reference_in(mail: Message) -> str:
    """Find our reference in the return path that the report came to, or in the headers of the message it encloses."""
    candidates = [str(mail.get(name, "")) for name in ("Delivered-To", "X-Original-To", "To")]
    for part in mail.walk():
        if part.get_content_type() in {"message/rfc822", "text/rfc822-headers"}:
            payload = part.get_payload()
            candidates.append(str(payload[0]) if isinstance(payload, list) else str(payload))
    for text in candidates:
        if match := _REFERENCE.search(text):
            return match.group(1).lower()
    raise ValueError("the report names no message of ours")


def _parts(mail: Message, content_type: str) -> Iterator[Message]:
    return (part for part in mail.walk() if part.get_content_type() == content_type)
