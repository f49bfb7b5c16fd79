"""SMS as the worker needs it: E.164 numbers, one text, and the parts that it travels in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sluice_catalog.templating import CompiledTemplate, parse
from sluice_channel.channels import Envelope
from sluice_channel.provider import RenderedMessage, SmsMessage
from sluice_channel.segmentation import segment
from sluice_contracts.vocabulary import Channel

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")


class SmsContent:
    """A compiled text."""

    def __init__(self, text: CompiledTemplate) -> None:
        self._text = text

    def render(self, values: Mapping[str, Any]) -> SmsMessage:
        text = self._text.render(values)
        segmentation = segment(text)
        return SmsMessage(text, segmentation.encoding, segmentation.segments)


class SmsChannel:
    """The channel SMS."""

    channel = Channel.SMS

    def is_address(self, address: str) -> bool:
        return _E164.fullmatch(address) is not None

    def compile(self, content: Mapping[str, Any]) -> SmsContent:
        return SmsContent(parse(content["text"], escape_html=False))

    def address_to(self, message: RenderedMessage, envelope: Envelope) -> RenderedMessage:
        """A text is the same whoever gets it."""
        return message

    def segments(self, message: RenderedMessage) -> int | None:
        return message.segments if isinstance(message, SmsMessage) else None
