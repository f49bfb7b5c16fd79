"""The OpenAPI 3.1 document, made from the declarations that also route and validate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

if TYPE_CHECKING:
    from sluice_runtime.http.operations import Operation

_REFERENCE: Final = "#/components/schemas/{model}"
_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string", "description": "Dotted path with list indexes; empty for the body."},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
_SECURITY_SCHEMES: Final = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key as user name or as password."},
}

Mode = Literal["validation", "serialization"]
Schemas = Mapping[Any, dict[str, Any]]
"""JSON schemas by (model, mode)."""


def openapi_document(operations: Iterable[Operation], *, title: str, version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of `operations`, aliases included."""
    declared = list(operations)
    schemas, components = _schemas(declared)
    paths: dict[str, dict[str, Any]] = {}
    for operation in declared:
        for place, path in enumerate((operation.path, *operation.aliases)):
            name = operation.name if place == 0 else f"{operation.name}Alias{place}"
            described = {"operationId": name, **_operation(operation, path, schemas)}
            paths.setdefault(_PLACEHOLDER.sub(r"{\1}", path), {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in declared)],
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": _SECURITY_SCHEMES,
            "responses": {
                "Problem": {
                    "description": "What is wrong with the request.",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
            },
        },
    }


def _schemas(operations: list[Operation]) -> tuple[Schemas, dict[str, Any]]:
    used: dict[tuple[type[BaseModel], Mode], None] = {}
    for operation in operations:
        if operation.body is not None:
            used[operation.body, "validation"] = None
        for answer in operation.answers.values():
            if answer is not None:
                used[answer, "serialization"] = None
        if operation.door is not None and operation.door.error is not None:
            used[operation.door.error, "serialization"] = None
    schemas, definitions = models_json_schema(list(used), ref_template=_REFERENCE)
    return schemas, definitions.get("$defs", {})


def _operation(operation: Operation, path: str, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"summary": operation.summary, "tags": [operation.tag]}
    parameters = [*_path_parameters(path), *_query_parameters(operation.query)]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[operation.body, "validation"]}},
        }
    described["responses"] = _responses(operation, schemas)
    if operation.scope is None:
        described["security"] = []
    else:
        described["security"] = [{scheme: []} for scheme in _SECURITY_SCHEMES]
        described["description"] = f"Needs the scope `{operation.scope}`."
    return described


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in operation.answers.items():
        answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if model is not None:
            answer["content"] = {"application/json": {"schema": schemas[model, "serialization"]}}
        responses[str(status)] = answer
    error = None if operation.door is None else operation.door.error
    if error is None:
        responses.setdefault("default", {"$ref": "#/components/responses/Problem"})
    else:
        content = {"application/json": {"schema": schemas[error, "serialization"]}}
        responses.setdefault("default", {"description": "What is wrong with the request.", "content": content})
    return responses


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PLACEHOLDER.findall(path)
    ]


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema(ref_template=_REFERENCE)
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _inlined(entry, definitions)}
        for name, entry in schema.get("properties", {}).items()
    ]


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return `schema` with references to `definitions` replaced by what they stand for; queries hold nothing deep."""
    if isinstance(schema, list):
        return [_inlined(entry, definitions) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name in definitions:
        return _inlined(definitions[name], definitions)
    return {key: _inlined(entry, definitions) for key, entry in schema.items()}
