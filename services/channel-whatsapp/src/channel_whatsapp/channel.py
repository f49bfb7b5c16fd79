"""WhatsApp as the worker needs it: a provider-side template with its parameters, or a free text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from sluice_catalog.templating import CompiledTemplate, parse
from sluice_channel.channels import Envelope
from sluice_channel.provider import RenderedMessage, WhatsAppMessage
from sluice_contracts.vocabulary import Channel

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_OUTPUT: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)

Fill = Callable[[Mapping[str, Any]], Any]
"""Makes a piece of JSON for one contact's values."""


class WhatsAppContent:
    """A compiled message. A template without components gets its body's variables as parameters, in order."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._template_name: str | None = content.get("template_name")
        self._language: str | None = content.get("language")
        self._body = _compiled(content.get("body"))
        self._text = _compiled(content.get("text"))
        components = content.get("components") or _body_parameters(content.get("body") or "")
        self._components = [_fill_of(component) for component in components]

    def render(self, values: Mapping[str, Any]) -> WhatsAppMessage:
        text = None if self._text is None else self._text.render(values)
        body = None if self._body is None else self._body.render(values)
        return WhatsAppMessage(
            preview=body or text or self._template_name or "",
            template_name=self._template_name,
            language=self._language,
            components=[fill(values) for fill in self._components] if self._template_name else (),
            text=text if self._template_name is None else None,
        )


class WhatsAppChannel:
    """The channel WhatsApp."""

    channel = Channel.WHATSAPP

    def is_address(self, address: str) -> bool:
        return _E164.fullmatch(address) is not None

    def compile(self, content: Mapping[str, Any]) -> WhatsAppContent:
        return WhatsAppContent(content)

    def address_to(self, message: RenderedMessage, envelope: Envelope) -> RenderedMessage:
        """A message is the same whoever gets it."""
        return message

    def segments(self, message: RenderedMessage) -> int | None:
        """A WhatsApp message has no parts."""
        return None


def _compiled(source: str | None) -> CompiledTemplate | None:
    return None if source is None else parse(source, escape_html=False)


def _body_parameters(body: str) -> list[dict[str, Any]]:
    outputs = list(dict.fromkeys(_OUTPUT.findall(body)))
    if not outputs:
        return []
    return [{"type": "body", "parameters": [{"type": "text", "text": output} for output in outputs]}]


def _fill_of(piece: Any) -> Fill:
    """Return what fills in the templates in a piece of JSON, wherever in it they stand."""
    match piece:
        case str():
            return parse(piece, escape_html=False).render
        case Mapping():
            fills = {name: _fill_of(value) for name, value in piece.items()}
            return lambda values: {name: fill(values) for name, fill in fills.items()}
        case list():
            items = [_fill_of(value) for value in piece]
            return lambda values: [fill(values) for fill in items]
        case _:
            return lambda _values: piece
