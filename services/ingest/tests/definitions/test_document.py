"""What the OpenAPI document says of the doors to definitions."""

from __future__ import annotations

from typing import Any

from ingest.definitions import operations
from sluice_catalog.snapshot import CatalogSnapshot
from sluice_runtime.clock import SystemClock
from sluice_runtime.http.openapi import openapi_document
from sluice_runtime.secrets import SecretBox


def declared() -> list[Any]:
    nothing: Any = None
    snapshot = CatalogSnapshot(nothing, nothing)
    return operations(nothing, snapshot, SecretBox(bytes(32)), SystemClock())


def test_every_operation_is_documented_under_a_name_of_its_own() -> None:
    declarations = declared()
    names = [operation.name for operation in declarations]
    assert len(names) == len(set(names))
    document = openapi_document(declarations, title="Sluice", version="1")
    for path in ("/api/v1/contacts/{reference}", "/api/v1/contacts/external/{external_id}", "/api/v1/templates"):
        assert path in document["paths"]


def test_every_door_to_definitions_needs_a_credential() -> None:
    scopes = {operation.name: operation.scope for operation in declared()}
    assert {name for name, scope in scopes.items() if scope == "admin"} == {
        "create_api_key", "list_api_keys", "revoke_api_key",
    }  # fmt: skip
    assert set(scopes.values()) == {"definitions:write", "admin"}


def test_no_answer_has_a_field_for_a_providers_secret() -> None:
    document = openapi_document(declared(), title="Sluice", version="1")
    answers = document["components"]["schemas"]
    shown = [name for name, schema in answers.items() if "auth_token" in schema.get("properties", {})]
    assert shown == ["TwilioSecrets"]
    assert all("writeOnly" in field or "anyOf" in field for field in answers["TwilioSecrets"]["properties"].values())
