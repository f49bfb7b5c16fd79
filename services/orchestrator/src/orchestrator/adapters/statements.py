"""The SQL of this service, by name."""

from __future__ import annotations

from sluice_storage import statements

queries = statements.load("orchestrator")
