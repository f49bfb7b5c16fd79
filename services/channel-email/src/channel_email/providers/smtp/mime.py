"""MIME bytes (RFC 5322, RFC 2045-2047) without building a tree for each message.

`email.message.EmailMessage` makes 800-1,000 messages a second on a core. Here what is the same in every message of an
account is encoded once, and what differs is filled in as bytes. No value can start a header of its own: every header
value passes `header_value`, which leaves no CR, LF or NUL in it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import b2a_base64, b2a_qp
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from sluice_channel.provider import EmailMessage

_FOLD_AT: Final = 76
_LONGEST_LINE: Final = 998  # RFC 5322 §2.1.1, without CRLF
_ENCODED_WORD_BYTES: Final = 45  # 60 base64 characters; with the "=?utf-8?b??=" around them below RFC 2047's 75
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_ADDRESS: Final = re.compile(r"[^\s<>\"(),:;\\\[\]\x00-\x1f\x7f]+@[^\s<>\"(),:;\\\[\]\x00-\x1f\x7f]+")
_HEADER_NAME: Final = re.compile(r"[!-9;-~]+")
_ATOMS: Final = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]*")


class UnsafeAddressError(ValueError):
    """The text cannot stand in an address header or an SMTP command."""


def checked_address(address: str) -> str:
    """Return `address` if it can stand between angle brackets in a header and in a command.

    Raises UnsafeAddressError otherwise. Local parts that are not ASCII are let through only where the domain is.
    """
    if not _ADDRESS.fullmatch(address) or not address.isascii():
        raise UnsafeAddressError("not an address that can be put into a header or a command")
    return address


def header_value(text: str) -> bytes:
    """Return an unstructured header value: folded where it is long, RFC 2047 encoded words where not ASCII."""
    # Nothing that is printable is a control character, and to ask costs a tenth of looking for one.
    clean = (text if text.isprintable() else _CONTROL.sub(" ", text)).strip()
    if clean.isascii() and len(clean) <= _LONGEST_LINE - 100 and "=?" not in clean:
        return _fold(clean).encode()
    return b"\r\n ".join(b"=?utf-8?b?" + b64encode(piece) + b"?=" for piece in _pieces(clean))


def _fold(text: str) -> str:
    if len(text) <= _FOLD_AT:
        return text
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > _FOLD_AT:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line or lines else word
    return "\r\n ".join([*lines, line])


def _pieces(text: str) -> list[bytes]:
    """Cut into encodable pieces without splitting a character (RFC 2047 §5)."""
    pieces: list[bytes] = []
    piece = b""
    for character in text:
        encoded = character.encode("utf-8", "replace")
        if len(piece) + len(encoded) > _ENCODED_WORD_BYTES:
            pieces.append(piece)
            piece = b""
        piece += encoded
    return [*pieces, piece]


def mailbox(address: str, name: str | None) -> bytes:
    """Return `Name <address>` for a From, To or Reply-To header.

    Raises UnsafeAddressError when the address is not one.
    """
    plain = checked_address(address).encode()
    if not name or not (clean := _CONTROL.sub(" ", name).strip()):
        return plain
    if clean.isascii() and "=?" not in clean:
        if not _ATOMS.fullmatch(clean):
            escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
            clean = f'"{escaped}"'
        if len(clean) <= _FOLD_AT - 8:
            return clean.encode() + b" <" + plain + b">"
    return header_value(name) + b"\r\n <" + plain + b">"


@lru_cache(maxsize=256)
def _skeleton(from_email: str, from_name: str | None, reply_to: str | None) -> bytes:
    lines = [b"From: " + mailbox(from_email, from_name)]
    if reply_to:
        lines.append(b"Reply-To: " + mailbox(reply_to, None))
    return b"\r\n".join([*lines, b"MIME-Version: 1.0", b""])


@lru_cache(maxsize=256)
def _header_name(name: str) -> bytes:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a header")
    return name.encode()


@lru_cache(maxsize=4)
def _date(seconds: int) -> bytes:
    return format_datetime(datetime.fromtimestamp(seconds, UTC)).encode()


def compose(
    message: EmailMessage,
    *,
    from_email: str,
    from_name: str | None,
    reply_to: str | None,
    to: str,
    identifier: str,
    now: float,
) -> bytes:
    """Return the message with CRLF line ends, as DATA wants it before dot-stuffing.

    `identifier` is ours: it names the Message-ID and the boundary. `now` is in Unix seconds.
    Raises UnsafeAddressError when an address is not one, ValueError when a header name is not one.
    """
    domain = from_email.rpartition("@")[2].encode()
    parts = [
        _skeleton(from_email, from_name, reply_to),
        b"To: ", checked_address(to).encode(),
        b"\r\nSubject: ", header_value(message.subject),
        b"\r\nDate: ", _date(int(now)),
        b"\r\nMessage-ID: <", identifier.encode(), b"@", domain, b">\r\n",
    ]  # fmt: skip
    for name, value in message.headers.items():
        parts += [_header_name(name), b": ", header_value(value), b"\r\n"]
    parts.append(_body(message, identifier.encode()))
    return b"".join(parts)


def _body(message: EmailMessage, identifier: bytes) -> bytes:
    if message.html is None:
        return _part(b"text/plain", message.text or "")
    if message.text is None:
        return _part(b"text/html", message.html)
    boundary = b"=_" + identifier
    return b"".join([
        b'Content-Type: multipart/alternative; boundary="', boundary, b'"\r\n\r\n--', boundary, b"\r\n",
        _part(b"text/plain", message.text), b"\r\n--", boundary, b"\r\n",
        _part(b"text/html", message.html), b"\r\n--", boundary, b"--\r\n",
    ])  # fmt: skip


def _part(content_type: bytes, text: str) -> bytes:
    encoding, body = _transfer_encoded(text.encode("utf-8", "replace"))
    return b"".join([
        b"Content-Type: ", content_type, b"; charset=utf-8\r\nContent-Transfer-Encoding: ", encoding, b"\r\n\r\n", body,
    ])  # fmt: skip


def _transfer_encoded(raw: bytes) -> tuple[bytes, bytes]:
    """Return the cheapest encoding that any server takes: 7bit, else quoted-printable for mostly ASCII, else base64."""
    body = _LINE_END.sub(b"\r\n", raw) if b"\r" in raw else raw.replace(b"\n", b"\r\n")
    if body.isascii() and b"\x00" not in body and _has_short_lines(body):
        return b"7bit", body
    if sum(byte > 127 for byte in body[:1000]) * 6 < min(len(body), 1000):
        return b"quoted-printable", _LINE_END.sub(b"\r\n", b2a_qp(body, istext=True))
    lines = (b2a_base64(body[start : start + 57], newline=False) for start in range(0, len(body), 57))
    return b"base64", b"\r\n".join(lines)


def _has_short_lines(body: bytes) -> bool:
    return len(body) <= _LONGEST_LINE or max(map(len, body.split(b"\r\n"))) <= _LONGEST_LINE
