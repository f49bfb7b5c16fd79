"""What the stack stands on: room on the disk, and a clock that somebody may have moved."""

from __future__ import annotations

import asyncio
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Final

from sluice_local.data import DataDirectory
from sluice_local.durations import describe
from sluice_local.operating.doctor.findings import Examination
from sluice_local.operating.installation import Installation
from sluice_local.operating.quantities import size

LEAST_FREE_BYTES: Final = 1024**3
LEAST_FREE_SHARE: Final = 0.03


async def examine_machine(installation: Installation) -> Examination:
    """Look at the disk and the clock of a stack; there is nothing to see of clusters of one's own."""
    found = Examination()
    if installation.data is not None:
        await asyncio.to_thread(_look_at_disk, installation.data.path, found)
        _look_at_clock(installation.data, found)
    return found


def _look_at_disk(path: Path, found: Examination) -> None:
    disk = shutil.disk_usage(path)
    used = size_of(path)
    if disk.free < LEAST_FREE_BYTES or disk.free < LEAST_FREE_SHARE * disk.total:
        found.find(
            f"the disk of {path}",
            f"has {size(disk.free)} left of {size(disk.total)}; the stack uses {size(used)}",
            "make room: PostgreSQL and Kafka stop when it is full",
        )
    found.notes.append(f"{path} uses {size(used)}; {size(disk.free)} are free")


def _look_at_clock(data: DataDirectory, found: Examination) -> None:
    ahead = data.clock_shift()
    if ahead > timedelta(0):
        found.notes.append(f"the stack's clock is {describe(ahead)} ahead")


def size_of(folder: Path) -> int:
    """Return the bytes that the files under `folder` take on the disk; one that vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return total
