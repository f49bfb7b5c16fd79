"""A small disk for Postgres: a tmpfs that can be made too small and large again, in a mount namespace of our own."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from sluice_local.postgres import Postgres

_CLONE_NEWNS: Final = 0x00020000
_SIZE: Final = "4g"
_PAGE: Final = 4096
_MARGINS: Final = (1, 1, 1, 16, 256, 4096)
"""How many pages are left at each attempt to fill the volume."""


def isolate_mounts() -> str | None:
    """Let mounts of this process and its children be seen by nobody else and vanish with them; or say why not.

    Call it before any thread is started.
    """
    if os.geteuid() != 0:
        return "only root may mount"
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(_CLONE_NEWNS):
        return f"no mount namespace: {os.strerror(ctypes.get_errno())}"
    made = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, text=True, check=False)
    return made.stderr.strip() or None


class SmallDisk:
    """The volume under the data directory of a Postgres that has never run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def mount(self) -> str | None:
        """Initialise the database and put it onto the volume; or say why that cannot be done here."""
        Postgres(self._directory, 0, self._directory.with_suffix(".log")).prepare()
        owner = self._directory.stat()
        aside = self._directory.with_suffix(".aside")
        self._directory.rename(aside)
        self._directory.mkdir()
        options = f"size={_SIZE},mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._directory)],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode:
            self._directory.rmdir()
            aside.rename(self._directory)
            return mounted.stderr.strip()
        subprocess.run(["cp", "-a", f"{aside}/.", str(self._directory)], check=True)
        shutil.rmtree(aside)
        return None

    def fill(self) -> None:
        """Leave no room: the volume becomes as small as what is on it. Raises OSError where that cannot be done."""
        for pages in _MARGINS:
            usage = os.statvfs(self._directory)
            used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize
            # More may have been written meanwhile, and a volume is never made smaller than what is on it.
            if self._resize(str(used + pages * _PAGE)):
                return
        raise OSError(f"{self._directory} cannot be made small")

    def free(self) -> None:
        """Make room again. Raises OSError where that cannot be done."""
        if not self._resize(_SIZE):
            raise OSError(f"{self._directory} cannot be made large again")

    def unmount(self) -> None:
        """Give the volume back, with what is on it."""
        subprocess.run(["umount", "-l", str(self._directory)], check=False, capture_output=True)

    def _resize(self, size: str) -> bool:
        command = ["mount", "-o", f"remount,size={size}", str(self._directory)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
