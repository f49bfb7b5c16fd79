"""WhatsApp as the worker needs it."""

from __future__ import annotations

import pytest

from channel_whatsapp.channel import WhatsAppChannel
from sluice_catalog.templating import MissingVariable
from sluice_channel.channels import Envelope
from sluice_channel.provider import WhatsAppMessage
from sluice_contracts.messages.content import InlineWhatsApp, Sender
from sluice_contracts.vocabulary import Category

VALUES = {"name": "Ann", "code": "42"}


def test_a_template_gets_the_variables_of_its_body_in_order() -> None:
    content = {"template_name": "otp", "language": "en_US", "body": "Hi {{name}}, {{code}}. Bye {{name}}"}
    assert WhatsAppChannel().compile(content).render(VALUES) == WhatsAppMessage(
        preview="Hi Ann, 42. Bye Ann",
        template_name="otp",
        language="en_US",
        components=[{"type": "body", "parameters": [{"type": "text", "text": "Ann"}, {"type": "text", "text": "42"}]}],
    )


def test_components_of_its_own_are_filled_in_wherever_a_variable_stands() -> None:
    components = [
        {"type": "button", "sub_type": "url", "index": 0, "parameters": [{"type": "text", "text": "{{code}}"}]},
        {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x.test/{{name}}.png"}}]},
    ]
    message = (
        WhatsAppChannel().compile({"template_name": "t", "language": "en", "components": components}).render(VALUES)
    )
    assert message.components == [
        {"type": "button", "sub_type": "url", "index": 0, "parameters": [{"type": "text", "text": "42"}]},
        {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x.test/Ann.png"}}]},
    ]
    assert message.preview == "t"


def test_a_free_text_needs_no_template() -> None:
    content = InlineWhatsApp(text="Hello {{name}}").model_dump(exclude={"kind"})
    message = WhatsAppChannel().compile(content).render(VALUES)
    assert message == WhatsAppMessage(preview="Hello Ann", text="Hello Ann")


def test_a_missing_variable_is_said() -> None:
    with pytest.raises(MissingVariable):
        WhatsAppChannel().compile({"template_name": "t", "language": "en", "body": "{{nobody}}"}).render(VALUES)


def test_a_message_is_the_same_for_everybody_and_has_no_parts() -> None:
    channel = WhatsAppChannel()
    message = WhatsAppMessage("x")
    assert channel.address_to(message, Envelope("r", Category.UTILITY, Sender())) is message
    assert channel.segments(message) is None
    assert channel.is_address("+14155550123")
    assert not channel.is_address("ada@example.com")
