"""`python -m ingest`: every HTTP door inwards."""

from __future__ import annotations

from ingest.app import build
from ingest.settings import IngestSettings
from sluice_runtime.service import run_service

if __name__ == "__main__":
    run_service("ingest", IngestSettings, build)
