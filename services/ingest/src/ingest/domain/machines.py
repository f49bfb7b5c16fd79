"""Whether a person or a machine followed a link: machines are flagged, not dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_MACHINE: Final = re.compile(
    r"googleimageproxy|yahoomailproxy|(?<!cu)bot\b|crawler|spider|preview|scanner|barracuda|mimecast|proofpoint"
    r"|python-requests|curl/|wget/"
)
"""Mail programs' proxies, link scanners and libraries, by how they call themselves; a Cubot is a telephone."""

_APPLE_PRIVACY_PROXY: Final = "mozilla/5.0"
_PREFETCH_HEADERS: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def is_machine(headers: Mapping[str, str]) -> bool:
    """Say whether a request, by its headers, was made for a mail program or a link scanner and not by a person.

    Apple's privacy proxy loads every image and says no more of itself than `Mozilla/5.0`; Gmail's proxy names itself.
    """
    agent = headers.get("User-Agent", "").strip().lower()
    if agent in {"", _APPLE_PRIVACY_PROXY} or _MACHINE.search(agent) is not None:
        return True
    return any("prefetch" in headers.get(name, "") or "preview" in headers.get(name, "") for name in _PREFETCH_HEADERS)
