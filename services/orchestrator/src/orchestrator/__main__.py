"""`python -m orchestrator`: recipients, workflow steps, template groups, timers and channel commands."""

from __future__ import annotations

from orchestrator.app import build
from orchestrator.settings import OrchestratorSettings
from sluice_runtime.service import run_service

if __name__ == "__main__":
    run_service("orchestrator", OrchestratorSettings, build)
