"""Which values a template sees, and which of a contact's values have to travel to where it is rendered.

A name is looked for among the trigger's channel variables, then its variables, then the contact's standard fields.
`contact` is the whole contact, and `contact_<field>` another way to say `contact.<field>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sluice_catalog.models import Contact

TOP_LEVEL_FIELDS: Final = (
    "name",
    "first_name",
    "last_name",
    "email",
    "phone_number",
    "external_id",
    "locale",
    "timezone",
)
STEPS: Final = "steps"
"""The field of a command that is no contact's: how each one's waits for events ended, by step."""

_FIELDS: Final = frozenset((*TOP_LEVEL_FIELDS, "status", "country", "tags", "attributes", "opt_outs"))
_ALIAS: Final = "contact_"
_ATTRIBUTE: Final = "attributes."


def contact_paths(references: Iterable[str], given: Mapping[str, Any]) -> list[str]:
    """Return, sorted, the paths below the contact that `references` need where `given` are the trigger's variables.

    A path is a field (`first_name`) or one attribute (`attributes.plan`); `attributes` alone is all of them.
    """
    needed: set[str] = set()
    for reference in references:
        root, *rest = reference.split(".")
        if root == "contact":
            needed.update([_path(rest)] if rest else _FIELDS)
        elif root not in given:
            field = root.removeprefix(_ALIAS)
            if root in TOP_LEVEL_FIELDS or (root.startswith(_ALIAS) and field in _FIELDS):
                needed.add(_path([field, *rest]))
    if "attributes" in needed:
        needed = {path for path in needed if not path.startswith("attributes.")}
    return sorted(path for path in needed if path.partition(".")[0] in _FIELDS)


def _path(segments: list[str]) -> str:
    return ".".join(segments[:2]) if segments[0] == "attributes" else segments[0]


def contact_column(contacts: Iterable[Contact | None], path: str) -> list[Any]:
    """Return what a path of `contact_paths` leads to, one value a contact, None where it or the contact is not there.

    Read field by field: all values of a contact as JSON would take ten times as long.
    """
    if path.startswith(_ATTRIBUTE):
        name = path.removeprefix(_ATTRIBUTE)
        return [contact and contact.attributes.get(name) for contact in contacts]
    if path not in _FIELDS:
        return [None for _ in contacts]
    values = [contact and getattr(contact, path) for contact in contacts]
    return [value and list(value) for value in values] if path == "tags" else values


def field_of(path: Sequence[str]) -> str | None:
    """Return the path below the contact whose value, as it is, `render_values` puts at `path` of no variable.

    None where it puts there something made of several, or nothing.
    """
    root, *rest = path
    if root in TOP_LEVEL_FIELDS:
        segments = [root, *rest]
    elif root == "contact":
        segments = rest
    elif root.startswith(_ALIAS):
        segments = [root.removeprefix(_ALIAS), *rest]
    else:
        return None
    is_attribute = len(segments) == 2 and segments[0] == "attributes"
    return ".".join(segments) if is_attribute or (len(segments) == 1 and segments[0] != "attributes") else None


def render_values(
    fields: Mapping[str, Any], variables: Mapping[str, Any], channel_variables: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the values for `CompiledTemplate.render` from a contact's fields by path and the trigger's variables."""
    contact: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for path, value in fields.items():
        field, _, attribute = path.partition(".")
        if field == STEPS:
            continue
        if attribute:
            attributes[attribute] = value
        elif field == "attributes" and isinstance(value, dict):
            attributes.update(value)
        else:
            contact[field] = value
    contact["attributes"] = attributes
    values: dict[str, Any] = {field: contact[field] for field in TOP_LEVEL_FIELDS if field in contact}
    values.update((_ALIAS + field, value) for field, value in contact.items())
    values["contact"] = contact
    values.update(variables)
    values.update(channel_variables or {})
    if STEPS in fields:
        values[STEPS] = fields[STEPS]
    return values
