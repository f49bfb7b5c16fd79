"""The API to read: a document that lists every door, and a page that needs nothing from elsewhere."""

from __future__ import annotations

import json
import re
from typing import Any

from ingest.app import documented
from ingest.handlers import documents
from sluice_runtime.http.openapi import openapi_document


async def test_the_document_lists_the_doors_and_can_be_asked_for_changes(service: Any, monkeypatch: Any) -> None:
    answer = await service.client.get("/api/openapi.json")
    document = json.loads(await answer.read())
    assert document["openapi"].startswith("3.1")
    assert {"/api/v1/messages/sms/send", "/api/v1/workflows/trigger"} <= document["paths"].keys()
    again = await service.client.get("/api/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304


async def test_without_a_generated_document_the_own_operations_are_shown(serve: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(documents, "_generated", lambda: None)
    async with serve() as service:
        document = await (await service.client.get("/api/openapi.json")).json()
    schema = document["components"]["schemas"]["SmsSend"]
    assert {"recipient_type", "tags", "trigger_at", "text", "template_key"} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False
    assert {"/callbacks/{channel}/{account_id}", "/c/{token}", "/api/v1/messages/bulk"} <= document["paths"].keys()


async def test_the_page_loads_nothing_from_anywhere_else(service: Any) -> None:
    page = await service.client.get("/api/docs")
    assert (page.status, page.content_type) == (200, "text/html")
    script = await service.client.get("/api/docs.js")
    assert script.content_type == "text/javascript"
    for text in (await page.text(), await script.text()):
        assert not re.search(r"https?://|//cdn|@import", text)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_every_operation_can_be_described_without_anything_behind_it() -> None:
    operations = documented()
    document = openapi_document(operations, title="Sluice", version="1")
    names = [operation.name for operation in operations]
    assert len(set(names)) == len(names)
    assert {"/api/v1/contacts", "/api/v1/messages/sms/send", "/api/docs"} <= document["paths"].keys()
    for operation in operations:
        assert operation.scope is not None or not operation.path.startswith("/api/v1/")
