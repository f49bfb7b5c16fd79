from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from sluice_runtime import service as services
from sluice_runtime.clock import Clock
from sluice_runtime.service import Service, serve
from sluice_runtime.settings import ServiceSettings

KEY = base64.b64encode(bytes(32)).decode()


def settings() -> ServiceSettings:
    return ServiceSettings(secret_key=SecretStr(KEY), http_port=0)


class Recorded:
    """A service of two loops and one resource that writes down what happens to it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.running = asyncio.Event()

    async def build(self, settings: ServiceSettings, resources: AsyncExitStack, clock: Clock) -> Service:
        resources.push_async_callback(self._close)
        return Service(loops={"worker": self.work, "timers": self.tick})

    async def _close(self) -> None:
        self.events.append("closed")

    async def work(self, stop: asyncio.Event) -> None:
        self.running.set()
        await stop.wait()
        self.events.append("drained")

    async def tick(self, stop: asyncio.Event) -> None:
        await stop.wait()


async def test_a_stop_drains_the_loops_before_it_closes_the_resources() -> None:
    recorded, stop = Recorded(), asyncio.Event()
    serving = asyncio.create_task(serve(settings(), recorded.build, stop))
    await recorded.running.wait()
    stop.set()
    assert await serving == 0
    assert recorded.events == ["drained", "closed"]


async def test_a_loop_that_ends_early_stops_the_service_with_exit_code_1() -> None:
    class Ending(Recorded):
        async def tick(self, stop: asyncio.Event) -> None:
            await self.running.wait()

    recorded = Ending()
    assert await serve(settings(), recorded.build, asyncio.Event()) == 1
    assert recorded.events == ["drained", "closed"]


async def test_a_loop_that_raises_is_named_in_the_log() -> None:
    class Raising(Recorded):
        async def tick(self, stop: asyncio.Event) -> None:
            raise RuntimeError("no")

    with structlog.testing.capture_logs() as lines:
        assert await serve(settings(), Raising().build, asyncio.Event()) == 1
    assert [line["loop"] for line in lines if line["event"] == "loop.failed"] == ["timers"]


async def test_a_loop_that_does_not_heed_the_stop_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(Recorded):
        async def tick(self, stop: asyncio.Event) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(services, "DRAIN_SECONDS", 0.05)
    recorded, stop = Deaf(), asyncio.Event()
    serving = asyncio.create_task(serve(settings(), recorded.build, stop))
    await recorded.running.wait()
    stop.set()
    assert await asyncio.wait_for(serving, 60) == 0
    assert recorded.events[-1] == "closed"


async def test_a_service_that_cannot_be_built_closes_what_was_opened() -> None:
    class Unbuildable(Recorded):
        async def build(self, settings: ServiceSettings, resources: AsyncExitStack, clock: Clock) -> Service:
            await super().build(settings, resources, clock)
            raise RuntimeError("no")

    recorded = Unbuildable()
    assert await serve(settings(), recorded.build, asyncio.Event()) == 1
    assert recorded.events == ["closed"]


PROGRAM = """
    import asyncio, gc, sys
    from sluice_runtime.service import Service, run_service
    from sluice_runtime.settings import ServiceSettings

    async def close():
        print("closed", flush=True)

    async def work(stop):
        print("spared", gc.get_freeze_count() > 10_000, flush=True)
        await stop.wait()
        if "{mode}" == "deaf":
            print("deaf", flush=True)
            await asyncio.Event().wait()

    async def build(settings, resources, clock):
        resources.push_async_callback(close)
        if "{mode}" == "building":
            print("building", flush=True)
            await asyncio.Event().wait()
        return Service(loops={{"worker": work}})

    run_service("worker", ServiceSettings, build)
"""


class Process:
    """A service in a process of its own, with the lines it has written."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def read_until(self, word: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if word in line:
                return line
        raise AssertionError(f"{word} never came: {self.lines}")

    def finish(self) -> int:
        rest, _ = self.process.communicate(timeout=60)
        self.lines += rest.splitlines()
        return self.process.returncode


@contextmanager
def started(tmp_path: Path, mode: str = "", **environment: str) -> Iterator[Process]:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM.format(mode=mode)))
    variables = {"SLUICE_SECRET_KEY": KEY, "SLUICE_HTTP_PORT": "0", **environment}
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Process(process)
    finally:
        process.kill()
        process.communicate()


def get(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_service_answers_its_probes_and_leaves_with_0_when_asked(tmp_path: Path, number: int) -> None:
    with started(tmp_path) as service:
        port = json.loads(service.read_until("service.started"))["port"]
        assert get(port, "/live")[0] == 200
        assert get(port, "/ready") == (200, {"ready": True, "reason": None})
        service.process.send_signal(number)
        assert service.finish() == 0
        assert "closed" in service.lines
        assert any("service.stopped" in line for line in service.lines)


def test_while_it_drains_a_worker_says_that_it_is_not_ready_and_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with started(tmp_path, "deaf") as service:
        port = json.loads(service.read_until("service.started"))["port"]
        service.process.terminate()
        service.read_until("deaf")
        assert get(port, "/ready") == (503, {"ready": False, "reason": "stopping"})
        began = time.monotonic()
        service.process.terminate()
        assert service.finish() == 128 + signal.SIGTERM
        assert time.monotonic() - began < services.DRAIN_SECONDS
        assert "closed" not in service.lines


def test_a_service_that_is_still_being_built_can_be_stopped(tmp_path: Path) -> None:
    with started(tmp_path, "building") as service:
        service.read_until("building")
        service.process.terminate()
        assert service.finish() == 0
        assert "closed" in service.lines


def test_the_collector_of_cycles_leaves_alone_what_was_built(tmp_path: Path) -> None:
    with started(tmp_path) as service:
        assert "True" in service.read_until("spared")
        service.process.send_signal(signal.SIGTERM)
        assert service.finish() == 0


def test_wrong_settings_are_explained_without_a_traceback(tmp_path: Path) -> None:
    with started(tmp_path, SLUICE_HTTP_PORT="many") as service:
        assert service.finish() == 2
        output = "\n".join(service.lines)
    assert "SLUICE_HTTP_PORT" in output
    assert "Traceback" not in output
