"""A workspace that is called as Novu is: with a key and a URL, by clients that know nothing of us."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import requests

from api_client import DEADLINE_SECONDS
from sluice_local.stack import Stack

OVER: Final = frozenset({"completed", "failed", "skipped", "canceled"})
_numbers: Final = count(2_340_000)


class NovuPlace:
    """A workspace with one workflow of each kind that the tests need."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.base_url
        self.key = stack.create_workspace(f"novu-{uuid4().hex[:8]}")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"ApiKey {self.key}"

    def call(self, method: str, path: str, json: Any = None, **headers: str) -> requests.Response:
        """Call and return whatever comes back."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._session.request(method, self.url + path, json=json, headers=named, timeout=DEADLINE_SECONDS)

    def data(self, method: str, path: str, json: Any = None, status: int = 200) -> Any:
        """Call and return what is in the envelope of a good answer."""
        answer = self.call(method, path, json)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        return answer.json()["data"]

    def workflow(self, identifier: str, steps: list[dict[str, Any]], **more: Any) -> Any:
        """Define a workflow."""
        body = {"name": identifier.replace("-", " ").title(), "workflowId": identifier, "steps": steps, **more}
        return self.data("POST", "/v2/workflows", body, 201)

    def text_workflow(self, identifier: str, body: str, **more: Any) -> Any:
        """Define a workflow that sends one text."""
        return self.workflow(identifier, [{"name": "Text", "type": "sms", "controlValues": {"body": body}}], **more)

    def subscriber(self, subscriber_id: str, **fields: Any) -> Any:
        """Make a subscriber."""
        return self.data("POST", "/v2/subscribers", {"subscriberId": subscriber_id, **fields}, 201)

    def trigger(self, workflow: str, to: Any, **more: Any) -> Any:
        """Trigger and return what was answered."""
        return self.data("POST", "/v1/events/trigger", {"name": workflow, "to": to, **more}, 201)

    def sent_to(self, address: str, at_least: int = 1, *, channel: str = "sms") -> list[dict[str, Any]]:
        """Wait until the sandbox has `at_least` messages for an address, and return them, the latest first."""
        path = "/api/v1/sandbox/messages"
        found: list[dict[str, Any]] = []

        def come() -> bool:
            parameters = {"to": address, "channel": channel, "limit": 50}
            nonlocal found
            answer = self._session.get(self.url + path, params=parameters, timeout=DEADLINE_SECONDS)
            found = answer.json()["messages"]
            return len(found) >= at_least

        wait_for(come, lambda: f"{address} has got {found}")
        return found

    def known(self, transaction_id: str) -> list[dict[str, Any]]:
        """Wait until a transaction is in the activity feed, and return that: what nobody knows yet, nobody can stop."""
        return self._activities(transaction_id, bool)

    def settled(self, transaction_id: str) -> list[dict[str, Any]]:
        """Wait until nothing of a transaction is under way, and return its activity feed."""
        return self._activities(transaction_id, lambda jobs: {job["status"] for job in jobs} <= OVER)

    def begun(self, transaction_id: str) -> list[dict[str, Any]]:
        """Wait until something of a transaction is known to be sent, and return its activity feed."""
        return self._activities(transaction_id, lambda jobs: any(job["status"] == "completed" for job in jobs))

    def _activities(
        self, transaction_id: str, condition: Callable[[list[dict[str, Any]]], bool]
    ) -> list[dict[str, Any]]:
        activities: list[dict[str, Any]] = []

        def holds() -> bool:
            nonlocal activities
            path = f"/v1/notifications?transactionId={quote(transaction_id, safe='')}&limit=100"
            activities = self.call("GET", path).json()["data"]
            jobs = [job for activity in activities for job in activity["jobs"]]
            return bool(jobs) and condition(jobs)

        wait_for(holds, lambda: f"{transaction_id} is still {activities}")
        return activities


def wait_for(condition: Callable[[], bool], describe: Callable[[], str] = str) -> None:
    """Ask `condition` until it holds; after `DEADLINE_SECONDS` fail with what `describe` says."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {DEADLINE_SECONDS:.0f} s: {describe()}")
        time.sleep(0.05)


def phone() -> str:
    """Return a number that nobody else in the session has."""
    return f"+1415{next(_numbers)}"
