"""Email as the worker needs it: a subject and two bodies, tracked links, and a way to unsubscribe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, Final

from channel_email.plain_text import text_template_of
from channel_email.tracked_html import track
from sluice_catalog.templating import CompiledTemplate, parse
from sluice_channel.channels import ColumnarContent, Envelope
from sluice_channel.provider import EmailMessage, RenderedMessage
from sluice_channel.tracking import Links
from sluice_contracts.vocabulary import Category, Channel

_ADDRESS: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,253}")
_UNSUBSCRIBE_VARIABLE: Final = "unsubscribe_url"
_UNSUBSCRIBE_PLACEHOLDER: Final = "https://unsubscribe.invalid/link"
"""Stands in a rendered body for the recipient's own link: rendering does not know the recipient yet."""


class EmailContent(ColumnarContent):
    """A compiled email. Values are escaped in `html` alone."""

    def __init__(self, subject: CompiledTemplate, html: CompiledTemplate | None, text: CompiledTemplate | None) -> None:
        self._subject = subject
        self._html = html
        self._text = text
        bodies = [body for body in (html, text) if body is not None]
        self._offers_unsubscribe = any(_UNSUBSCRIBE_VARIABLE in body.references for body in bodies)

    def render(self, values: Mapping[str, Any]) -> EmailMessage:
        values = self._with_unsubscribe(values)
        return _message(
            self._subject.render(values),
            None if self._html is None else self._html.render(values),
            None if self._text is None else self._text.render(values),
        )

    def render_columns(
        self, fields: Mapping[str, Sequence[Any]], variables: Mapping[str, Any]
    ) -> list[EmailMessage | None] | None:
        variables = self._with_unsubscribe(variables)
        subjects = self._subject.render_columns(fields, variables)
        htmls = None if self._html is None else self._html.render_columns(fields, variables)
        texts = None if self._text is None else self._text.render_columns(fields, variables)
        has_html, has_text = self._html is not None, self._text is not None
        if subjects is None or (has_html and htmls is None) or (has_text and texts is None):
            return None
        return [
            None
            if subject is None or (has_html and html is None) or (has_text and text is None)
            else _message(subject, html, text)
            for subject, html, text in zip(subjects, htmls or repeat(None), texts or repeat(None), strict=False)
        ]

    def _with_unsubscribe(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**values, _UNSUBSCRIBE_VARIABLE: _UNSUBSCRIBE_PLACEHOLDER} if self._offers_unsubscribe else values


class EmailChannel:
    """The channel email. `links` makes the tracked links."""

    channel = Channel.EMAIL

    def __init__(self, links: Links) -> None:
        self._links = links

    def is_address(self, address: str) -> bool:
        return _ADDRESS.fullmatch(address) is not None

    def compile(self, content: Mapping[str, Any]) -> EmailContent:
        """A missing plain text is made from the HTML: once a template, not once a message."""
        html, text = content.get("html"), content.get("text")
        if text is None and html is not None:
            text = text_template_of(html)
        return EmailContent(
            parse(content["subject"], escape_html=False),
            None if html is None else parse(html, escape_html=True),
            None if text is None else parse(text, escape_html=False),
        )

    def address_to(self, message: RenderedMessage, envelope: Envelope) -> RenderedMessage:
        """Return the recipient's own copy: pixel and tracked links, unsubscribe link and headers (RFC 2369, RFC 8058).

        A code is not tracked: a link in it may be a credential, and must lead straight to its owner.
        """
        if not isinstance(message, EmailMessage):
            return message
        unsubscribe = self._links.unsubscribe(self.channel, envelope.reference)
        html, text = message.html, message.text
        if html is not None:
            if envelope.category is not Category.AUTHENTICATION:
                html = track(html, self._links, envelope.reference)
            html = html.replace(_UNSUBSCRIBE_PLACEHOLDER, unsubscribe)
        sender = envelope.sender
        return EmailMessage(
            subject=message.subject,
            html=html,
            text=None if text is None else text.replace(_UNSUBSCRIBE_PLACEHOLDER, unsubscribe),
            from_email=sender.from_email,
            from_name=sender.from_name,
            reply_to=sender.reply_to,
            headers={} if envelope.category.is_essential else _unsubscribe_headers(unsubscribe),
        )

    def segments(self, message: RenderedMessage) -> int | None:
        """An email has no parts."""
        return None


def _message(subject: str, html: str | None, text: str | None) -> EmailMessage:
    return EmailMessage(" ".join(subject.split()), html, text, None, None, None)


def _unsubscribe_headers(link: str) -> dict[str, str]:
    return {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
