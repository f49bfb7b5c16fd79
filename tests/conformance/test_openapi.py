"""Whatever fits our OpenAPI document, or just misses it, gets an answer that fits the document, and no 5xx."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import cycle
from typing import Any, Final
from urllib.parse import quote
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks

from api_client import DEADLINE_SECONDS
from sluice_local.api_document import document
from sluice_local.stack import Stack
from sluice_runtime.http.protocol import LONGEST_LINE

pytestmark = pytest.mark.e2e

EXAMPLES: Final = 4
"""Cases of each kind for an operation: all operations together take a minute."""

CHECKS: Final = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]
DOCUMENT: Final[dict[str, Any]] = json.loads(document())
SCHEMA: Final = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS: Final[dict[str, Any]] = {
    result.ok().label: result.ok() for result in SCHEMA.get_all_operations() if isinstance(result, Ok)
}


class Place:
    """A workspace in which there is one of everything, so that some paths lead somewhere."""

    def __init__(self, stack: Stack) -> None:
        self.base_url = stack.base_url
        self.headers = {"X-API-Key": stack.create_workspace(f"conformance-{uuid4().hex[:8]}")}
        variant = {"country": None, "locale": None, "text": "Hi {{ name }}"}
        self._make("contacts", {"external_id": "ada", "phone_number": "+14155550123", "name": "Ada"})
        self._make(
            "templates", {"key": "hi", "name": "hi", "channel": "sms", "category": "marketing", "variants": [variant]}
        )
        self._make("segments", {"key": "all", "name": "All", "filter": "contact.name != ''"})
        self._make("lists", {"key": "some", "name": "Some"})
        step = {"step_id": "s", "step_name": "s", "channel": "sms", "template_key": "hi"}
        self._make("workflows", {"name": "Series", "type": "steps", "status": "active", "steps": [step]})
        sent = self._make("sms/send", {"recipient_type": "contact", "contact_external_id": "ada", "template_key": "hi"})
        self.known = cycle(["ada", "hi", "all", "some", "Series", sent["trigger_id"], str(uuid4())])
        self.trigger_id = sent["trigger_id"]

    def _make(self, what: str, body: Any) -> Any:
        request = Request(f"{self.base_url}/api/v1/{what}", json.dumps(body).encode(), self.headers)  # noqa: S310
        with urlopen(request, timeout=DEADLINE_SECONDS) as answer:  # noqa: S310 - the stack that the test started
            return json.load(answer)

    def lead_somewhere(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return path parameters of which some name a thing that is there."""
        return {
            name: self.trigger_id if name == "trigger_id" else next(self.known) if "id" in name else value
            for name, value in parameters.items()
        }


@pytest.fixture(scope="module")
def place(stack: Stack) -> Place:
    return Place(stack)


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_every_answer_is_one_that_the_document_allows(place: Place, label: str) -> None:
    operation = OPERATIONS[label]
    for mode in GenerationMode:

        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            database=None,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=mode))
        def answers(case: Any) -> None:
            assume(len(quote(str(case.query) + str(case.path_parameters))) < LONGEST_LINE)
            for parameters in (case.path_parameters, place.lead_somewhere(case.path_parameters or {})):
                case.path_parameters = parameters
                response = case.call(base_url=place.base_url, headers=place.headers, timeout=DEADLINE_SECONDS)
                case.validate_response(response, checks=CHECKS)
                if not parameters:
                    break

        with suppress(Unsatisfiable):  # nothing of it can be wrong
            answers()
