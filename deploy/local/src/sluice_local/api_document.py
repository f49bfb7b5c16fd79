"""The whole API in one OpenAPI document: what ingest and status-api declare, side by side.

`python -m sluice_local.api_document PATH` writes it. No service imports another, so the document is committed, and a
test compares it with the declarations.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ingest.app
import status_api.app
from sluice_runtime.http.openapi import openapi_document
from sluice_runtime.http.operations import Operation

VERSION = "1"


def operations() -> list[Operation]:
    """Return every operation of every service, to be described and not to be called: nothing stands behind them."""
    return [*ingest.app.documented(), *status_api.app.documented()]


def document() -> str:
    """Return the OpenAPI 3.1 document as it is committed."""
    return json.dumps(openapi_document(operations(), title="Sluice", version=VERSION), indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write the document to the path that is given."""
    Path(sys.argv[1]).write_text(document())


if __name__ == "__main__":
    main()
