"""Programs of others that tests run, from where they are installed: on PATH, or among node's modules."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def node_modules() -> Path:
    """Return the folder that npm installed packages into; `SLUICE_NODE_MODULES` names it."""
    return Path(os.environ.get("SLUICE_NODE_MODULES", "node_modules")).resolve()


def program(name: str) -> str:
    """Return the path of a program. Where there is none the test is skipped, with CI=true it fails."""
    found = shutil.which(name, path=os.pathsep.join([str(node_modules() / ".bin"), os.environ.get("PATH", "")]))
    if found is None:
        missing(f"{name} is not installed")
    return found


def node_package(name: str) -> None:
    """Return if an npm package is there; else as `program`."""
    if not (node_modules() / name).is_dir():
        missing(f"npm package {name} is missing; SLUICE_NODE_MODULES names where it is installed")


def missing(wanted: str) -> NoReturn:
    """Skip the test, or fail it where CI is to install everything."""
    if os.environ.get("CI") == "true":
        pytest.fail(wanted)
    pytest.skip(wanted)
