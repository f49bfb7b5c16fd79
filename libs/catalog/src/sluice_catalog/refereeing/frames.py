"""Messages on a line between two processes: four bytes of length, and the message."""

from __future__ import annotations

import socket
from typing import Final

_LENGTH_BYTES: Final = 4


def send(line: socket.socket, message: bytes) -> None:
    """Send one message. Raises OSError where nobody is there."""
    line.sendall(len(message).to_bytes(_LENGTH_BYTES, "big") + message)


def receive(line: socket.socket) -> bytes:
    """Return the next message. Raises EOFError where the other side has closed the line, and OSError."""
    return _exactly(line, int.from_bytes(_exactly(line, _LENGTH_BYTES), "big"))


def _exactly(line: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = line.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
