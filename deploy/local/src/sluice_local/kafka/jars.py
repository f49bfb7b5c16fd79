"""The jars of Apache Kafka: named with their SHA-256 in `jgo.lock.toml`, fetched once with jgo, checked at every start.

To move to another version, change `jgo.toml` and run `jgo --resolver python lock` beside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Protocol

import platformdirs

from sluice_local.processes import StartError

CACHE_VARIABLE: Final = "SLUICE_KAFKA_JARS"
"""Names the folder that the jars are kept in; without it, the user's cache folder."""

_DOWNLOADS_AT_ONCE: Final = 8


class JarsUnavailableError(StartError):
    """The broker's jars are not here and cannot be fetched."""

    def __init__(self, reason: str, folder: Path) -> None:
        super().__init__(
            f"Apache Kafka's jars could not be had: {reason}\n"
            f"  They are fetched once from Maven Central and kept in {folder}\n"
            f"  ({CACHE_VARIABLE}=folder names another one).\n"
            "  Without them, use a broker and a database of your own:\n"
            "    make up KAFKA=host:port,host:port POSTGRES=postgresql://user:password@host/database"
        )


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        """Group, artifact and version, as Maven writes them."""
        return f"{self.group}:{self.artifact}:{self.version}"

    def path(self, folder: Path) -> Path:
        """Return where the jar lies under `folder`, laid out as a Maven repository."""
        name = f"{self.artifact}-{self.version}.jar"
        return folder.joinpath(*self.group.split("."), self.artifact, self.version, name)

    def is_intact(self, folder: Path) -> bool:
        """Tell whether the jar is under `folder` and is the one that the lock names."""
        try:
            return hashlib.sha256(self.path(folder).read_bytes()).hexdigest() == self.sha256
        except FileNotFoundError:
            return False


class Fetch(Protocol):
    """Brings one jar to `jar.path(folder)`, or raises what went wrong."""

    def __call__(self, jar: Jar, folder: Path) -> None: ...


def locked() -> list[Jar]:
    """Return the jars of the committed lock."""
    lock = tomllib.loads(resources.files(__package__).joinpath("jgo.lock.toml").read_text())
    return [
        Jar(entry["groupId"], entry["artifactId"], entry["version"], entry["sha256"]) for entry in lock["dependencies"]
    ]


def cache_folder() -> Path:
    """Return the folder that jars are kept in, shared by every stack of this user."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("sluice") / "kafka-jars"


def fetch_with_jgo(jar: Jar, folder: Path) -> None:
    """Fetch one jar from Maven Central into `folder`."""
    from jgo.maven import MavenContext

    MavenContext(repo_cache=folder, timeout=30).project(jar.group, jar.artifact).at_version(
        jar.version
    ).artifact().resolve()


def class_path(
    jars: Sequence[Jar],
    folder: Path,
    *,
    fetch: Fetch = fetch_with_jgo,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Return the class path of `jars`, every one of them intact; what is missing or altered is fetched (again).

    Raises JarsUnavailableError where that fails, or where what was fetched is not what the lock names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = [jar for jar in jars if not jar.is_intact(folder)]
        if wanted:
            _fetch_all(wanted, folder, fetch, progress)
    return os.pathsep.join(str(jar.path(folder)) for jar in jars)


def _fetch_all(wanted: Sequence[Jar], folder: Path, fetch: Fetch, progress: Callable[[int, int], None]) -> None:
    progress(0, len(wanted))
    for jar in wanted:
        jar.path(folder).unlink(missing_ok=True)
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        pending = [pool.submit(fetch, jar, folder) for jar in wanted]
        for done, (jar, future) in enumerate(zip(wanted, pending, strict=True), start=1):
            try:
                future.result()
            except Exception as error:  # whatever the network, the disk or jgo came up with: the way out is the same
                pool.shutdown(wait=False, cancel_futures=True)
                raise JarsUnavailableError(f"{jar.coordinates}: {error}", folder) from error
            if not jar.is_intact(folder):
                jar.path(folder).unlink(missing_ok=True)
                pool.shutdown(wait=False, cancel_futures=True)
                raise JarsUnavailableError(f"{jar.coordinates} is not the jar that the lock names", folder)
            progress(done, len(wanted))
