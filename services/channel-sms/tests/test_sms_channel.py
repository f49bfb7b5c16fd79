"""SMS as the worker needs it."""

from __future__ import annotations

import pytest

from channel_sms.channel import SmsChannel
from sluice_catalog.templating import MissingVariable, TemplateSyntaxProblem
from sluice_channel.channels import Envelope
from sluice_channel.provider import SmsMessage
from sluice_contracts.messages.content import Sender
from sluice_contracts.vocabulary import Category


@pytest.mark.parametrize("address", ["+14155550123", "+4915112345678", "+1234567"])
def test_numbers_in_e164_are_addresses(address: str) -> None:
    assert SmsChannel().is_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "14155550123",
        "+0123456789",
        "+1",
        "+1415555012345678",
        "+1 415",
        "a@b.test",
        "+\uff11\uff14\uff11\uff15\uff15\uff15\uff15",
    ],
)
def test_anything_else_is_not(address: str) -> None:
    assert not SmsChannel().is_address(address)


def test_a_text_is_rendered_and_counted() -> None:
    channel = SmsChannel()
    message = channel.compile({"text": "Your code is {{code}}"}).render({"code": "Ж" * 60})
    assert message == SmsMessage("Your code is " + "Ж" * 60, "UCS-2", 2)
    assert channel.segments(message) == 2
    assert channel.address_to(message, Envelope("r", Category.MARKETING, Sender())) is message


def test_what_is_missing_or_wrong_is_said() -> None:
    with pytest.raises(MissingVariable):
        SmsChannel().compile({"text": "{{code}}"}).render({})
    with pytest.raises(TemplateSyntaxProblem):
        SmsChannel().compile({"text": "{{code"})
