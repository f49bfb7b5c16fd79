"""The SQL of this service, by name."""

from __future__ import annotations

from typing import Final

from sluice_storage import statements

queries: Final = statements.load("orchestrator")
event_queries: Final = statements.load("orchestrator", "events.sql")
wait_queries: Final = statements.load("orchestrator", "waits.sql")
