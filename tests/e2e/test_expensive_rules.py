"""Rules that would take for ever on the whole stack: refused with a reason, while everybody else's go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from rules import Rules
from sluice_local.stack import Stack
from tenant import new_number, new_tenant

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

ENDLESS_FILTER = "event.data.l.all(a, event.data.l == event.data.l)"
ENDLESS_PATH = "$.l[?$.l == $.l].x"
MANY = list(range(40_000))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rules(stack: Stack) -> AsyncIterator[Rules]:
    async with new_tenant(stack) as tenant:
        yield Rules(tenant)


async def test_a_rule_that_would_take_for_ever_says_so_and_holds_nobody_up(rules: Rules, stack: Stack) -> None:
    event, workflow = f"big.{uuid4().hex[:6]}", await rules.workflow(text="{{ first }}")
    ada = await rules.tenant.contact(phone_number=new_number())
    mapping = [{"variable": "x", "path": ENDLESS_PATH}]
    made: dict[str, dict[str, Any]] = {
        await rules.rule(event, workflow, filter=ENDLESS_FILTER): {"code": "filter_failed", "said": "more computing"},
        await rules.rule(event, workflow, filter="event.data.l[9] > 'x'"): {"code": "filter_failed", "said": "_>_"},
        await rules.rule(event, workflow, mapping=mapping): {"code": "mapping_failed", "said": "more computing"},
        await rules.rule(event, workflow, mapping=[{"variable": "first", "path": "$.l[0]"}]): {"code": None},
    }
    for _ in range(2):
        seen = await rules.happen(event, ada, {"l": MANY})
        for rule in seen["rules"]:
            expected = made[rule["rule_id"]]
            assert rule["code"] == expected["code"], rule
            assert expected.get("said", "") in (rule["detail"] or ""), rule
    async with new_tenant(stack) as other:
        theirs = Rules(other)
        await theirs.rule(event, await theirs.workflow())
        bob = await other.contact(phone_number=new_number())
        assert (await theirs.happen(event, bob, {"l": MANY}))["outcome"] == "triggered"
