"""Novu's Liquid in our words: who reads it is `contact_…`, and the payload's values stand at the top.

`{{ subscriber.firstName }}` becomes `{{ contact_first_name }}` and `{{ payload.code }}` becomes `{{ code }}`; a
template that asks for `payload` as a whole keeps the name, and triggers then carry it.
"""

from __future__ import annotations

import re
from typing import Final

from sluice_catalog import templating
from sluice_catalog.templating.scanner import scan

_PATH: Final = re.compile(r"""'[^']*'|"[^"]*"|(?<![\w.\-\]])([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)""")
_VERBATIM: Final = re.compile(r"\{%-?\s*(?:raw|comment|#)")
_OF_SUBSCRIBER: Final = {
    "subscriberId": "contact_external_id",
    "firstName": "contact_first_name",
    "lastName": "contact_last_name",
    "email": "contact_email",
    "phone": "contact_phone_number",
    "locale": "contact_locale",
    "timezone": "contact_timezone",
    "avatar": "contact_attributes.avatar",
    "data": "contact_attributes",
}


def translated(source: str) -> str:
    """Return a template of Novu's as one of ours.

    Raises TemplateSyntaxProblem for a source that cannot be cut into its pieces.
    """
    pieces = []
    for piece in scan(source):
        keeps = piece.kind == "text" or _VERBATIM.match(piece.text)
        pieces.append(piece.text if keeps else _PATH.sub(_renamed, piece.text))
    return "".join(pieces)


def asks_for_whole_payload(source: str) -> bool:
    """Whether a template of ours, as `translated` makes them, still refers to `payload`. Raises TemplateProblem."""
    references = templating.parse(source, escape_html=False).references
    return any(reference.partition(".")[0] == "payload" for reference in references)


def _renamed(match: re.Match[str]) -> str:
    path = match[1]
    if path is None:
        return match[0]
    root, _, rest = path.partition(".")
    if root == "payload" and rest:
        return rest
    if root == "subscriber" and rest:
        field, _, below = rest.partition(".")
        ours = _OF_SUBSCRIBER.get(field)
        return path if ours is None else f"{ours}.{below}" if below else ours
    return path
