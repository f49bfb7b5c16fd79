"""Novu's two Node SDKs, unmodified: only the URL is ours. Each is driven by a script in `novu_clients`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from novu_place import NovuPlace, phone
from programs import node_modules, node_package, program
from sluice_local.stack import Stack

pytestmark = pytest.mark.e2e

SCRIPTS = Path(__file__).parent / "novu_clients"
STRICT = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}


@pytest.fixture(scope="module")
def place(stack: Stack) -> NovuPlace:
    place = NovuPlace(stack)
    place.text_workflow("order-shipped", "Hi {{subscriber.firstName}}, order {{payload.n}} is on its way")
    place.text_workflow("switched-off", "x", active=False)
    place.text_workflow("strict", "Hi {{payload.name}}", validatePayload=True, payloadSchema=STRICT)
    later = {"name": "Wait", "type": "delay", "controlValues": {"type": "regular", "amount": 5, "unit": "hours"}}
    place.workflow("much-later", [later, {"name": "Text", "type": "sms", "controlValues": {"body": "x"}}])
    return place


def run(script: str, package: str, place: NovuPlace, number: str) -> list[str]:
    """Run a client's script; return the parts that it went through."""
    node_package(package)
    done = subprocess.run(
        [program("node"), str(SCRIPTS / script), place.url, place.key, number],
        env={**os.environ, "SLUICE_NODE_MODULES": str(node_modules())},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_current_sdk_works_unmodified(place: NovuPlace) -> None:
    number = phone()

    assert run("current.cjs", "@novu/api", place, number) == ["events", "errors", "people", "definitions", "reads"]
    assert [message["text"] for message in place.sent_to(number)] == ["Hi Ada, order 1 is on its way"]


def test_the_first_sdk_works_unmodified(place: NovuPlace) -> None:
    number = phone()

    assert run("first.cjs", "@novu/node", place, number) == ["events", "people", "definitions"]
    assert {message["text"] for message in place.sent_to(number, 2)} == {
        "Hi Ada, order 1 is on its way",
        "Hi Grace",
    }
