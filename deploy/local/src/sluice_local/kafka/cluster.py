"""One Apache Kafka broker, or three that replicate, in KRaft mode as child processes on loopback ports."""

from __future__ import annotations

import base64
import signal
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sluice_local import processes
from sluice_local.kafka import jars
from sluice_local.kafka.java import find_java
from sluice_local.processes import StartError

_SESSION_MS: Final = 3_000
_JVM: Final = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
)


@dataclass(frozen=True, slots=True)
class BrokerPorts:
    """Where one broker listens: for clients, and for the other brokers' controllers."""

    client: int
    controller: int


class Kafka:
    """A cluster of as many brokers as there are `ports`, with its logs under `directory`.

    One broker keeps one copy of everything; three keep three, and an append with `acks=all` is in two of them. What was
    acknowledged survives kill -9. Topics are made by the migration, never by a client's typing error. `settings` of the
    broker stand beside ours, or in their place.
    """

    def __init__(
        self,
        directory: Path,
        ports: Sequence[BrokerPorts],
        logs: Path,
        environment: dict[str, str] | None = None,
        *,
        settings: Mapping[str, str] = MappingProxyType({}),
        jar_folder: Path | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.directory = directory.absolute()
        self.ports = tuple(ports)
        self.logs = logs
        self._environment = environment or {}
        self._further_settings = settings
        self._jar_folder = jar_folder or jars.cache_folder()
        self._progress = progress
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses, as clients are given them."""
        return ",".join(f"127.0.0.1:{port.client}" for port in self.ports)

    @property
    def nodes(self) -> range:
        """The brokers' ids, from 1."""
        return range(1, len(self.ports) + 1)

    @cached_property
    def _java(self) -> list[str]:
        class_path = jars.class_path(jars.locked(), self._jar_folder, progress=self._progress)
        return [str(find_java()), *_JVM, "-cp", class_path]

    def prepare(self) -> None:
        """Fetch and check the jars, write the settings, format storage where there is none yet. Raises StartError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        formatted = len(list(self.directory.glob("broker-*/meta.properties")))
        if formatted not in (0, len(self.ports)):
            raise StartError(
                f"the Kafka under {self.directory} has {formatted} brokers, and {len(self.ports)} are asked for;\n"
                f"  say BROKERS={formatted}, or name another directory with DATA="
            )
        cluster_id = self._cluster_id()
        formatting = {}
        for node in self.nodes:
            self._settings_file(node).write_text(self._settings(node))
            if not (self._storage(node) / "meta.properties").exists():
                formatting[node] = subprocess.Popen(
                    [
                        *self._java,
                        "kafka.tools.StorageTool",
                        "format",
                        f"--cluster-id={cluster_id}",
                        "-c",
                        self._settings_file(node),
                    ],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
        for node, process in formatting.items():
            output, _ = process.communicate()
            if process.returncode:
                raise StartError(f"the storage of Kafka broker {node} could not be formatted\n{output}")

    def start(self) -> None:
        """Start all brokers; `wait_ready` tells when they answer. Call `prepare` first, once."""
        for node in self.nodes:
            self.start_broker(node)

    def start_broker(self, node: int) -> subprocess.Popen[bytes]:
        """Start (again) the broker with id `node`."""
        self.processes[node] = processes.spawn(
            [*self._java, "kafka.Kafka", self._settings_file(node)],
            log=self.log(node),
            environment=self._environment,
            death_signal=signal.SIGTERM,
        )
        return self.processes[node]

    def is_ready(self) -> bool:
        """Tell whether every broker accepts clients (a broker listens only once it has caught up with the metadata)."""
        return all(processes.is_listening(port.client) for port in self.ports)

    def wait_ready(self, timeout: float = 90.0) -> None:
        """Return once all brokers accept clients; raises StartError with the end of the log."""
        for node, process in self.processes.items():
            port = self.ports[node - 1].client

            def listening(port: int = port) -> bool:
                return processes.is_listening(port)

            processes.wait_until(listening, process, f"Kafka broker {node}", self.log(node), timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """Let the brokers hand over, write down where they are, and end."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            processes.stop(process, signal.SIGTERM, timeout)

    def log(self, node: int) -> Path:
        """Return the file that broker `node` logs to."""
        return self.logs / f"kafka-{node}.log"

    def _cluster_id(self) -> str:
        file = self.directory / "cluster-id"
        if not file.exists():
            file.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
        return file.read_text()

    def _storage(self, node: int) -> Path:
        return self.directory / f"broker-{node}"

    def _settings_file(self, node: int) -> Path:
        return self.directory / f"broker-{node}.properties"

    def _settings(self, node: int) -> str:
        port = self.ports[node - 1]
        replicas = len(self.ports)
        in_sync = min(2, replicas)
        voters = ",".join(f"{other}@127.0.0.1:{self.ports[other - 1].controller}" for other in self.nodes)
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{port.client},CONTROLLER://127.0.0.1:{port.controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port.client}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self._storage(node),
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            # Lets a test wait less than the usual six seconds for a consumer that it killed to be missed.
            "group.min.session.timeout.ms": 1_000,
            # A broker that was killed may register again only when its old session is over.
            "broker.session.timeout.ms": _SESSION_MS,
            "broker.heartbeat.interval.ms": _SESSION_MS // 6,
            # Brokers that all leave at once have nobody to hand over to, and the last would wait for a lost quorum.
            "controlled.shutdown.enable": str(replicas == 1).lower(),
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        }
        settings |= self._further_settings
        return "".join(f"{name}={value}\n" for name, value in settings.items())
