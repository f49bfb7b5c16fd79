"""What a tool says when it cannot do what it was asked."""

from __future__ import annotations


class OperatingError(Exception):
    """The tool could not do it, or was asked for something that is not there; the message is for the operator."""
