"""`python -m status_api`: projections, the read API and the actions on a trigger."""

from __future__ import annotations

from sluice_runtime.service import run_service
from status_api.app import NAME, build
from status_api.settings import StatusSettings

if __name__ == "__main__":
    run_service(NAME, StatusSettings, build)
