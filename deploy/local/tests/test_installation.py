"""What `make` installs is pinned, hashed, complete, and set up anew only when it changed."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def installer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", ROOT / "deploy" / "local" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["dev.txt", "services.txt"])
def test_requirements_are_pinned_by_hash_and_name_no_registry(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    assert "--index" not in text
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert len(requirements) > 40
    assert all("==" in each and "--hash=sha256:" in each for each in requirements)


def test_every_package_of_the_repository_is_installed(installer: ModuleType) -> None:
    folders = {str(folder.relative_to(ROOT)) for folder in installer.members()}
    assert {"libs/contracts", "services/channel-sms", "services/status-api", "deploy/local"} <= folders


def test_a_changed_requirement_is_installed_and_an_unchanged_one_is_not(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[int] = []
    (tmp_path / "dev.txt").write_text("aiohttp==1.0\n")
    monkeypatch.setattr(installer, "REQUIREMENTS", tmp_path / "dev.txt")
    monkeypatch.setattr(installer, "STAMP", tmp_path / "installed")
    monkeypatch.setattr(installer, "install", lambda folders: installed.append(len(folders)))
    assert installer.main() == installer.main() == 0
    assert len(installed) == 1
    (tmp_path / "dev.txt").write_text("aiohttp==2.0\n")
    assert installer.main() == 0
    assert len(installed) == 2


def test_a_failed_installation_is_tried_again_the_next_time(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folders: list[Path]) -> None:
        raise subprocess.CalledProcessError(1, [sys.executable, "-m", "pip", "install"])

    monkeypatch.setattr(installer, "STAMP", tmp_path / "installed")
    monkeypatch.setattr(installer, "install", fail)
    assert installer.main() == 1
    assert not (tmp_path / "installed").exists()


def test_make_help_names_what_a_person_needs() -> None:
    finished = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("up", "demo", "test", "lint", "check", "lock", "contracts", "clean"):
        assert re.search(rf"\[36m{target} ", finished.stdout)
