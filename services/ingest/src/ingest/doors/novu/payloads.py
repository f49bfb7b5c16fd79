"""What a payload may be: 512 KB, attachments apart, and what its workflow's schema allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import orjson
from jsonschema import Draft7Validator, SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry

from sluice_runtime.http.novu import wrong_payload

MOST_BYTES: Final = 512 * 1024
MOST_SCHEMA_BYTES: Final = 64 * 1024
ATTACHMENTS: Final = "attachments"
_MOST_ERRORS: Final = 20
_UNSUPPORTED: Final = ("$ref", "patternProperties")
# A caller's regular expressions could keep this process busy for ever: they are not matched.
_Validator: Final = extend(Draft7Validator, {"pattern": None, "patternProperties": None, "$ref": None})


class UnusableSchema(ValueError):  # noqa: N818 - a finding about what somebody wrote
    """It is no JSON schema, or it uses what we do not follow."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Return if payloads can be validated by `schema`. Raises UnusableSchema."""
    source = orjson.dumps(schema)
    if len(source) > MOST_SCHEMA_BYTES:
        raise UnusableSchema(f"a schema has at most {MOST_SCHEMA_BYTES // 1024} kB")
    used = next((word for word in _keys(schema) if word in _UNSUPPORTED), None)
    if used is not None:
        raise UnusableSchema(f"{used} is not supported")
    try:
        Draft7Validator.check_schema(schema)
    except SchemaError as error:
        raise UnusableSchema(error.message) from error


def without_attachments(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload without the files that it carries."""
    return {name: value for name, value in payload.items() if name != ATTACHMENTS}


def oversize(payload: Mapping[str, Any]) -> int | None:
    """Return the bytes of a payload that is too large, None of one that is not."""
    size = len(orjson.dumps(without_attachments(payload)))
    return size if size > MOST_BYTES else None


def too_large(subject: str, size: int) -> str:
    """Return what is to be said of a payload that is too large; `subject` ends in "payload"."""
    return (
        f"{subject} size ({size} bytes) exceeds maximum allowed size of {MOST_BYTES} bytes (512KB). "
        "Note: Attachments are excluded from this limit."
    )


def validated(payload: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the payload with the schema's defaults where it says nothing.

    Raises Problem 400 naming every field that is wrong.
    """
    whole = _with_defaults(payload, schema)
    found = list(_errors(_validator(orjson.dumps(schema)), whole))
    if found:
        raise wrong_payload(found, schema)
    return whole


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    # A registry of its own, so that nothing is ever fetched.
    return _Validator(orjson.loads(schema), registry=Registry())


def _errors(validator: Any, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for place, error in enumerate(validator.iter_errors(payload)):
        if place == _MOST_ERRORS:
            return
        path = [str(step) for step in error.absolute_path]
        field, message = _said(error)
        described: dict[str, Any] = {
            "field": ".".join([*path, field] if field else path) or "payload",
            "message": message,
            "schemaPath": "#/" + "/".join(map(str, error.absolute_schema_path)),
        }
        if isinstance(error.instance, str | int | float | bool) and not field:
            described["value"] = error.instance
        yield described


def _said(error: ValidationError) -> tuple[str, str]:
    """Return the field below the place of an error that it is about, and the error in the words of Novu's validator."""
    limit = error.validator_value
    match error.validator:
        case "required":
            name = error.message.removesuffix(" is a required property").strip("'\"")
            return name, f"must have required property '{name}'"
        case "type":
            return "", f"must be {limit if isinstance(limit, str) else ','.join(limit)}"
        case "enum":
            return "", "must be equal to one of the allowed values"
        case "additionalProperties":
            return "", "must NOT have additional properties"
        case "minLength":
            return "", f"must NOT have fewer than {limit} characters"
        case "maxLength":
            return "", f"must NOT have more than {limit} characters"
        case "minItems":
            return "", f"must NOT have fewer than {limit} items"
        case "maxItems":
            return "", f"must NOT have more than {limit} items"
        case "minimum":
            return "", f"must be >= {limit}"
        case "maximum":
            return "", f"must be <= {limit}"
        case _:
            return "", error.message[:200]


def _with_defaults(payload: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    whole = dict(payload)
    if not isinstance(properties, dict):
        return whole
    for name, below in properties.items():
        if not isinstance(below, dict):
            continue
        if name not in whole and "default" in below:
            whole[name] = below["default"]
        elif isinstance(whole.get(name), dict):
            whole[name] = _with_defaults(whole[name], below)
    return whole


def _keys(schema: Any) -> Iterator[str]:
    ahead = [schema]
    while ahead:
        here = ahead.pop()
        if isinstance(here, dict):
            yield from here
            ahead.extend(here.values())
        elif isinstance(here, list):
            ahead.extend(here)
