"""How each service is run as a process: its command, its environment, its ports."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

from sluice_local import processes
from sluice_local.data import DataDirectory
from sluice_local.options import SERVICES, StackOptions
from sluice_local.supervision import Unit


@dataclass(frozen=True, slots=True)
class Copy:
    """One process of a service, and where its probes are."""

    name: str
    service: str
    port: int

    @property
    def ready_url(self) -> str:
        """Where it says whether it is ready."""
        return f"http://127.0.0.1:{self.port}/ready"


def plan_copies(options: StackOptions, data: DataDirectory, taken: set[int]) -> list[Copy]:
    """Return every process that `options` ask for, each with a port that it keeps over restarts."""
    copies = []
    for service in SERVICES:
        for number in range(1, options.copies_of(service) + 1):
            name = copy_name(service, number)
            copies.append(Copy(name, service, data.port(name, taken)))
    return copies


def copy_name(service: str, number: int) -> str:
    """Return what the process `number`, from 1, of `service` is called: `ingest`, `ingest-2`, …"""
    return service if number == 1 else f"{service}-{number}"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every service of a stack is told."""

    kafka: str
    postgres: str
    secret_key: str
    public_url: str
    data: DataDirectory

    def environment(self, port: int) -> dict[str, str]:
        """Return the environment of a process that serves its probes on `port`."""
        return {
            processes.STACK_VARIABLE: str(self.data.path),
            "SLUICE_KAFKA": self.kafka,
            "SLUICE_POSTGRES": self.postgres,
            "SLUICE_SECRET_KEY": self.secret_key,
            "SLUICE_HTTP_HOST": "127.0.0.1",
            "SLUICE_HTTP_PORT": str(port),
            "SLUICE_PUBLIC_URL": self.public_url,
            "SLUICE_CLOCK_FILE": str(self.data.clock),
            "SLUICE_LOG_FORMAT": "json",
        }


def unit(copy: Copy, surroundings: Surroundings, options: StackOptions) -> Unit:
    """Return the process of `copy`, ready to be supervised."""
    log = surroundings.data.log(copy.name)
    launch = partial(
        processes.spawn,
        [sys.executable, "-m", copy.service.replace("-", "_")],
        log=log,
        environment={**surroundings.environment(copy.port), **options.environment},
    )
    return Unit(copy.name, copy.service, launch, log, relays_log=True)
