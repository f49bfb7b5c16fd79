"""JSON schemas of payloads (draft 7) and what does not fit them, in the words of Novu's validator.

Imports little: the referee does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import orjson
from jsonschema import Draft7Validator, SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry

_MOST_ERRORS: Final = 20
_WORDS: Final = {
    "enum": "must be equal to one of the allowed values",
    "additionalProperties": "must NOT have additional properties",
    "minLength": "must NOT have fewer than {limit} characters",
    "maxLength": "must NOT have more than {limit} characters",
    "minItems": "must NOT have fewer than {limit} items",
    "maxItems": "must NOT have more than {limit} items",
    "minimum": "must be >= {limit}",
    "maximum": "must be <= {limit}",
}
"""What Novu's validator says of a rule that is about a value by itself."""

# A caller's regular expressions could keep this process busy for ever: they are not matched.
_Validator: Final = extend(Draft7Validator, {"pattern": None, "patternProperties": None, "$ref": None})


def fault(schema: Mapping[str, Any]) -> str | None:
    """Return why something is no schema, None where it is one."""
    try:
        Draft7Validator.check_schema(schema)
    except SchemaError as error:
        return str(error.message)
    return None


def misfits(payload: Mapping[str, Any], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is wrong with a payload, field by field."""
    return list(_errors(_validator(orjson.dumps(schema)), payload))


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    # A registry of its own, so that nothing is ever fetched.
    return _Validator(orjson.loads(schema), registry=Registry())


def _errors(validator: Any, payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
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
        case rule if rule in _WORDS:
            return "", _WORDS[rule].format(limit=limit)
        case _:
            return "", error.message[:200]
