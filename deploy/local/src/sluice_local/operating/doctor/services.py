"""The processes: do they run, are they ready, and what do they say of their providers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from sluice_local.data import DataDirectory
from sluice_local.operating.doctor.findings import Examination
from sluice_local.operating.installation import Installation
from sluice_local.options import SERVICES
from sluice_local.services import copy_name

_TIMEOUT: Final = aiohttp.ClientTimeout(total=4)
_CIRCUIT: Final = "sluice_circuit_open"
GATEWAY: Final = "gateway"


@dataclass(frozen=True, slots=True)
class Probe:
    """One process to ask. `pid` is None where it does not run on this machine, `log` where to read what it said."""

    name: str
    url: str
    log: str
    pid: int | None = None


async def examine_services(installation: Installation, named: Mapping[str, str]) -> Examination:
    """Ask every process of the stack, and those of `named` (a base URL by name), whether it is ready."""
    found = Examination()
    probes = [Probe(name, url.rstrip("/"), "its log") for name, url in named.items()]
    if installation.data is not None:
        probes += _of_stack(installation.data, found)
        if probes and installation.api is not None:
            probes.append(Probe(GATEWAY, installation.api.base_url, str(installation.data.log("caddy"))))
    elif not probes:
        found.notes.append("services were not asked: name them with --service NAME=URL")
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        ready = await asyncio.gather(*(_ask(session, probe, found) for probe in probes))
    if probes:
        found.healthy.append(f"{sum(ready)} of {len(probes)} processes ready")
    return found


def _of_stack(data: DataDirectory, found: Examination) -> list[Probe]:
    """Return the processes of a stack that run, and find those that should and do not."""
    pids = data.processes()
    alive = {service: [pid for pid in each if psutil.pid_exists(pid)] for service, each in pids.items()}
    if not any(alive.values()):
        found.find(f"the stack over {data.path}", "is not running", f"start it with `make up DATA={data.path}`")
        return []
    for server in ("postgres", "kafka", "caddy"):
        if server in pids and not alive[server]:
            found.find(server, "does not run and is being started again", f"if it stays so, read {data.log(server)}")
    for server in ("postgres", "kafka", "caddy"):
        for pid in alive.get(server, []):
            if _is_stopped(pid):
                found.find(server, f"process {pid} is stopped by a signal", f"let it go on: kill -CONT {pid}")
    probes = []
    for service in SERVICES:
        if not alive.get(service):
            found.find(service, "does not run and is being started again", f"if it stays so, read {data.log(service)}")
        for number, pid in enumerate(alive.get(service, []), start=1):
            name = copy_name(service, number)
            probes.append(Probe(name, f"http://127.0.0.1:{data.known_port(name)}", str(data.log(name)), pid))
    return probes


async def _ask(session: aiohttp.ClientSession, probe: Probe, found: Examination) -> bool:
    if probe.pid is not None and _is_stopped(probe.pid):
        found.find(probe.name, f"process {probe.pid} is stopped by a signal", f"let it go on: kill -CONT {probe.pid}")
        return False
    try:
        async with session.get(f"{probe.url}/ready") as response:
            status, text = response.status, (await response.text()).strip()
        if probe.name.startswith("channel-") or (probe.pid is None and probe.name != GATEWAY):
            await _look_at_circuits(session, probe, found)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        problem = "does not answer in time" if isinstance(error, TimeoutError) else f"does not answer: {error}"
        found.find(probe.name, problem, f"read {probe.log}")
        return False
    if probe.name == GATEWAY:
        # It passes the question on to ingest, which was asked itself; that it answers is all that is asked of it.
        return True
    if status != 200:
        found.find(probe.name, f"is not ready: {_first_line(text) or status}", f"if it stays so, read {probe.log}")
    return status == 200


async def _look_at_circuits(session: aiohttp.ClientSession, probe: Probe, found: Examination) -> None:
    async with session.get(f"{probe.url}/metrics") as response:
        text = await response.text()
    if response.status != 200:
        return
    for labels in open_circuits(text):
        found.find(
            f"{labels['provider']} account {labels['account']}",
            f"is refused by its provider, and its messages wait in {probe.name}",
            "mend its credentials or billing at the provider; the messages then go out by themselves",
        )


def open_circuits(metrics: str) -> Sequence[Mapping[str, str]]:
    """Return the labels of every circuit that `metrics`, in Prometheus' text format, says to be open."""
    return [
        sample.labels
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == _CIRCUIT and sample.value
    ]


def _is_stopped(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def _first_line(text: str) -> str:
    return text.splitlines()[0][:200] if text else ""
