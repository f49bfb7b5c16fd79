"""A stack that has just started, made ready for tests that take it for granted that a send is accepted."""

from __future__ import annotations

from typing import Final

import requests

from api_client import FINAL
from sluice_local.stack import Stack

SENDS: Final = 20
"""So many reach every partition."""

_SECONDS: Final = 20
_BODY: Final = {"recipient_type": "direct_sms", "direct_sms": "+14155550199", "text": "Hello"}


def take_first_sends(stack: Stack) -> None:
    """Return once sends have gone all the way, and nothing is left of them that a test could be taken together with.

    A new broker on a slow machine may need longer for the first than callers wait.
    """
    with requests.Session() as session:
        session.headers["X-API-Key"] = stack.api_key
        accepted: list[str] = []

        def is_accepted() -> bool:
            answer = session.post(f"{stack.base_url}/api/v1/sms/send", json=_BODY, timeout=_SECONDS)
            if answer.ok:
                accepted.append(answer.json()["trigger_id"])
            return answer.ok

        def are_over() -> bool:
            paths = (f"{stack.base_url}/api/v1/triggers/{trigger_id}" for trigger_id in accepted)
            answers = (session.get(path, timeout=_SECONDS) for path in paths)
            return all(answer.ok and answer.json()["status"] in FINAL for answer in answers)

        for _ in range(SENDS):
            stack.wait(is_accepted, "what is sent is stored")
        stack.wait(are_over, "what was sent is over")
