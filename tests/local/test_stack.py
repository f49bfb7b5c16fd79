"""What `make up` promises: stacks side by side, processes that come back, a stop that leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from first_sends import take_first_sends
from novu_place import NovuPlace, phone
from sluice_local.options import SERVICES
from sluice_local.processes import STACK_VARIABLE
from sluice_local.services import copy_name
from sluice_local.stack import Stack

pytestmark = pytest.mark.e2e

TRIGGERS = "/api/v1/triggers?limit=1"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for these tests alone, with two copies of the services that callers talk to."""
    with Stack(tmp_path_factory.mktemp("own"), copies={"ingest": 2, "status-api": 2}) as stack:
        take_first_sends(stack)
        yield stack


def processes_of(stack: Stack) -> list[psutil.Process]:
    """Return every process that belongs to a stack, told by its environment alone, dead ones left out."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(STACK_VARIABLE) == str(stack.data.path):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_every_service_runs_in_as_many_copies_as_asked_for(own: Stack) -> None:
    pids = json.loads((own.data.path / "processes.json").read_text())
    assert {service: len(each) for service, each in pids.items()} == {
        **dict.fromkeys(SERVICES, 1),
        "ingest": 2,
        "status-api": 2,
        "postgres": 1,
        "kafka": 1,
        "caddy": 1,
    }
    assert all(psutil.pid_exists(pid) for each in pids.values() for pid in each)


def test_two_stacks_run_side_by_side_and_know_nothing_of_each_other(own: Stack, stack: Stack) -> None:
    assert own.base_url != stack.base_url
    for here, there in ((own, stack), (stack, own)):
        assert here.status(TRIGGERS) == 200
        assert here.status(TRIGGERS, there.api_key) == 401
    assert not {process.pid for process in processes_of(own)} & {process.pid for process in processes_of(stack)}


def test_a_callers_name_counts_once_through_two_copies_at_once(own: Stack) -> None:
    place = NovuPlace(own)
    place.text_workflow("hello", "Hi {{payload.n}}")
    copies = [own.data.known_port(copy_name("ingest", number)) for number in (1, 2)]
    name, number = "ada", phone()
    place.subscriber(name, phone=number)
    body = {"name": "hello", "to": name, "payload": {"n": 1}, "transactionId": "one-name"}
    together = threading.Barrier(len(copies) * 4)

    def call(turn: int) -> tuple[int, str]:
        url = f"http://127.0.0.1:{copies[turn % len(copies)]}/v1/events/trigger"
        headers = {"Authorization": f"ApiKey {place.key}", "Idempotency-Key": f"turn-{turn}"}
        together.wait()
        answer = requests.post(url, json=body, headers=headers, timeout=20)
        return answer.status_code, answer.json()["data"]["status"]

    with ThreadPoolExecutor(together.parties) as threads:
        assert set(threads.map(call, range(together.parties))) == {(201, "processed")}
    place.settled("one-name")
    place.subscriber("bob", phone=phone())
    place.settled(place.trigger("hello", "bob", payload={"n": 2})["transactionId"])
    assert len(place.sent_to(number)) == 1


@pytest.mark.parametrize("service", ["ingest", "status-api", "caddy", "postgres", "kafka"])
def test_what_is_killed_comes_back_and_requests_work_again(own: Stack, service: str) -> None:
    killed = own.kill(service)
    assert killed

    def is_back() -> bool:
        now = own.pids(service)
        return len(now) == len(killed) and not set(now) & set(killed)

    own.wait(is_back, f"{service} runs again")

    own.wait(lambda: own.status("/ready") == own.status(TRIGGERS) == 200, "requests work again")


def test_callers_do_not_notice_copies_that_are_replaced_one_by_one(own: Stack) -> None:
    before = own.pids("status-api")
    replaced = threading.Event()
    answers: Counter[int] = Counter()

    def ask() -> None:
        while not replaced.wait(0.02):
            answers[own.status(TRIGGERS)] += 1

    caller = threading.Thread(target=ask)
    caller.start()
    try:
        own.restart("status-api")
    finally:
        replaced.set()
        caller.join()
    assert not set(before) & set(own.pids("status-api"))
    assert set(answers) == {200}, answers


def test_nothing_survives_the_supervisors_death_and_the_stack_starts_again_where_it_was(own: Stack) -> None:
    base_url, api_key, orphans = own.base_url, own.api_key, processes_of(own)
    os.kill(own.supervisor, signal.SIGKILL)
    own.start()
    assert (own.base_url, own.api_key) == (base_url, api_key)
    assert own.status(TRIGGERS) == 200
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in orphans)


def test_a_stop_is_clean_within_twenty_seconds_and_leaves_no_process(own: Stack) -> None:
    began = time.monotonic()
    assert own.stop(), "the stack had to be killed"
    assert time.monotonic() - began < 20
    assert processes_of(own) == []
    assert own.data.processes() == {}
    assert "killed" not in own.data.log("sluice").read_text().rpartition("stack.stopping")[2]
