"""A volume that is written to while it is made small."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaos.disk import SmallDisk


@pytest.mark.parametrize(("refusals", "is_full"), [(0, True), (3, True), (99, False)])
def test_a_volume_that_grew_meanwhile_is_made_small_at_another_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int, is_full: bool
) -> None:
    sizes: list[str] = []

    def run(command: list[str], **options: object) -> SimpleNamespace:
        sizes.append(command[2])
        return SimpleNamespace(returncode=32 if len(sizes) <= refusals else 0)

    monkeypatch.setattr(subprocess, "run", run)
    disk = SmallDisk(tmp_path)
    if is_full:
        disk.fill()
        assert len(sizes) == refusals + 1
    else:
        with pytest.raises(OSError, match="cannot be made small"):
            disk.fill()
