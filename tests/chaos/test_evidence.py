"""What is read from outside is read to its end, and no answer is taken for one that says something."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from chaos import caller, evidence
from chaos.caller import Answer, Caller, UnansweredError
from chaos.history import Execution, Policy, Request, Trigger
from chaos.tenant import Tenant

NOWHERE = Answer(404, {"title": "Not found"})


class Scripted(Caller):
    """Gives each path its answers in turn, the last of them for ever; 404 to all others."""

    def __init__(self, answers: Mapping[str, Sequence[Answer]]) -> None:
        super().__init__("http://nowhere.test", "key")
        self._answers = {path: deque(given) for path, given in answers.items()}

    async def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        given = self._answers.get(path, deque([NOWHERE]))
        return given.popleft() if len(given) > 1 else given[0]


def tenant(name: str, answers: Mapping[str, Sequence[Answer]]) -> Tenant:
    return Tenant(name, f"key of {name}", Scripted(answers), cast(Any, None))


def listing(*rows: tuple[str, str, int]) -> Answer:
    triggers = [{"id": name, "status": status, "summary": {"sent": sent}} for name, status, sent in rows]
    return Answer(200, {"triggers": triggers, "pagination": {"next_cursor": None}})


LIST = "/api/v1/triggers?limit=200"


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(evidence, "_LOOK_AGAIN_SECONDS", 0.0)


async def test_what_is_shown_and_what_was_accepted_is_waited_for() -> None:
    rows = [
        listing(("a", "processing", 0)),
        listing(("a", "completed", 1)),
        listing(("a", "completed", 1), ("b", "failed", 0)),
    ]
    assert await evidence.over([tenant("north", {LIST: rows})], {"b"}, 60.0) == set()


async def test_who_is_at_work_is_waited_for_although_all_is_over() -> None:
    busy = deque([2, 2, 1, 1, 0])
    assert await evidence.over([tenant("north", {LIST: [listing()]})], (), 60.0, busy.popleft) == set()
    assert not busy


async def test_what_stands_still_is_not_waited_for_for_ever() -> None:
    async with asyncio.timeout(10):
        left = await evidence.over([tenant("north", {LIST: [listing(("a", "processing", 3))]})], {"b"}, 0.05)
    assert left == {"a", "b"}


REQUEST = Request("mark-1", "north", "event", Policy.HOLD, {}, ("trigger-1",), event_ids=("event-1",))
SHOWN = Trigger("trigger-1", "north", "completed", {}, [Execution("execution-1", "email", {}, ())])


async def test_nobody_sees_what_is_not_theirs_when_all_answers_are_404() -> None:
    south = tenant("south", {LIST: [listing()]})
    assert await evidence.sights([south], [REQUEST], [SHOWN]) == []


@pytest.mark.parametrize(
    "path", ["/api/v1/triggers/trigger-1", "/api/v1/events/event-1", "/api/v1/messages/executions/execution-1/jobs"]
)
async def test_whoever_sees_what_is_not_theirs_is_named(path: str) -> None:
    south = tenant("south", {LIST: [listing()], path: [Answer(200, {})]})
    (sight,) = await evidence.sights([south], [REQUEST], [SHOWN])
    assert (sight.viewer, sight.owner, sight.what) == ("south", "north", f"{path}: 200")


async def test_a_list_that_holds_what_is_not_theirs_is_named() -> None:
    south = tenant("south", {LIST: [listing(("trigger-1", "completed", 1))]})
    (sight,) = await evidence.sights([south], [REQUEST], [])
    assert "in its list" in sight.what


async def test_nobody_answering_says_nothing_of_what_can_be_seen() -> None:
    away = [Answer(0, None), Answer(503, {}), NOWHERE]
    south = tenant("south", {LIST: [listing()], "/api/v1/triggers/trigger-1": away})
    assert await evidence.sights([south], [REQUEST], [SHOWN]) == []


async def test_a_trigger_is_not_there_only_where_somebody_says_so() -> None:
    path = "/api/v1/triggers/trigger-1/ledger"
    assert await evidence.triggers(tenant("north", {path: [Answer(0, None), NOWHERE]}), ["trigger-1"]) == []
    nobody = Scripted({path: [Answer(0, None)]})
    with pytest.raises(UnansweredError):
        await nobody.answer("GET", path, seconds=0.0)


TOLD = replace(REQUEST, trigger_ids=())


async def test_what_became_of_an_event_is_waited_for_as_long_as_it_may_take() -> None:
    path = "/api/v1/events/event-1"
    told = Answer(200, {"rules": [{"trigger_id": "trigger-7"}, {"trigger_id": None}]})
    (found,) = await evidence.fates([tenant("north", {path: [NOWHERE, Answer(503, {}), NOWHERE, told]})], [TOLD], 60.0)
    assert found.trigger_ids == ("trigger-7",)
    (untold,) = await evidence.fates([tenant("north", {})], [TOLD], 0.0)
    assert untold.trigger_ids == ()
