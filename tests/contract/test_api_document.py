"""The committed OpenAPI document says what the services declare."""

from __future__ import annotations

from importlib.resources import files

from sluice_local.api_document import document, operations


def test_the_committed_document_is_what_make_contracts_would_write() -> None:
    assert (files("sluice_contracts") / "openapi.json").read_text() == document()


def test_no_two_operations_share_a_name_or_a_place() -> None:
    declared = operations()
    places = [(operation.method, path) for operation in declared for path in (operation.path, *operation.aliases)]
    assert len({operation.name for operation in declared}) == len(declared)
    assert len(set(places)) == len(places)


def test_every_operation_but_the_public_ones_needs_a_scope() -> None:
    public = {operation.path for operation in operations() if operation.scope is None}
    assert all(path.startswith(("/callbacks/", "/o/", "/c/", "/u/", "/api/docs", "/api/openapi")) for path in public), (
        public
    )
