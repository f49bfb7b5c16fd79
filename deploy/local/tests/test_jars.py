"""No jar is started that is not the one that the lock names."""

from __future__ import annotations

import hashlib
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from sluice_local.kafka import JarsUnavailableError, java
from sluice_local.kafka.jars import Jar, class_path, locked
from sluice_local.processes import StartError

CONTENT = b"the bytes of a jar"
JAR = Jar("org.example", "streams", "1.0", hashlib.sha256(CONTENT).hexdigest())


class Repository:
    """Stands for Maven Central: holds one jar and counts how often it is asked."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.asked = 0

    def __call__(self, jar: Jar, folder: Path) -> None:
        self.asked += 1
        if self.content is None:
            raise ConnectionError("the network is unreachable")
        jar.path(folder).parent.mkdir(parents=True, exist_ok=True)
        jar.path(folder).write_bytes(self.content)


def test_a_missing_jar_is_fetched_once(tmp_path: Path) -> None:
    repository = Repository(CONTENT)
    first = class_path([JAR], tmp_path, fetch=repository)
    assert class_path([JAR], tmp_path, fetch=repository) == first == str(JAR.path(tmp_path))
    assert repository.asked == 1


def test_an_altered_jar_is_fetched_again(tmp_path: Path) -> None:
    repository = Repository(CONTENT)
    class_path([JAR], tmp_path, fetch=repository)
    JAR.path(tmp_path).write_bytes(CONTENT + b" and something more")
    class_path([JAR], tmp_path, fetch=repository)
    assert JAR.path(tmp_path).read_bytes() == CONTENT


def test_an_altered_jar_is_never_started_when_it_cannot_be_fetched_again(tmp_path: Path) -> None:
    class_path([JAR], tmp_path, fetch=Repository(CONTENT))
    JAR.path(tmp_path).write_bytes(b"altered")
    with pytest.raises(JarsUnavailableError, match="unreachable"):
        class_path([JAR], tmp_path, fetch=Repository(None))


def test_a_repository_that_serves_another_jar_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(JarsUnavailableError, match=r"org\.example:streams:1\.0 is not the jar that the lock names"):
        class_path([JAR], tmp_path, fetch=Repository(b"another jar"))
    assert not JAR.path(tmp_path).exists()


def test_without_jars_the_message_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StartError) as refused:
        class_path([JAR], tmp_path, fetch=Repository(None))
    message = str(refused.value)
    assert "KAFKA=" in message
    assert "POSTGRES=" in message
    assert str(tmp_path) in message


def test_progress_tells_how_many_jars_are_there(tmp_path: Path) -> None:
    other = Jar("org.example", "storage", "1.0", JAR.sha256)
    seen: list[tuple[int, int]] = []
    class_path(
        [JAR, other], tmp_path, fetch=Repository(CONTENT), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_the_lock_names_every_jar_by_its_sha256_and_no_address() -> None:
    text = resources.files("sluice_local.kafka").joinpath("jgo.lock.toml").read_text()
    assert "://" not in text
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in locked())
    wanted = tomllib.loads(resources.files("sluice_local.kafka").joinpath("jgo.toml").read_text())
    assert set(wanted["dependencies"]["coordinates"]) <= {jar.coordinates for jar in locked()}


def test_an_old_java_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch()
    (home / "release").write_text('JAVA_VERSION="1.8.0_392"\n')
    monkeypatch.setattr(java, "find_spec", lambda name: None)
    monkeypatch.setenv("JAVA_HOME", str(home))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match="KAFKA="):
        java.find_java()
    (home / "release").write_text('IMPLEMENTOR="Someone"\nJAVA_VERSION="17.0.9"\n')
    assert java.find_java() == home / "bin" / "java"
