"""A step's condition, asked for one person at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.domain.jobs import Judge, Person
from orchestrator.domain.outcomes import PageOutcomes
from sluice_catalog.conditions import ConditionError, ConditionProblem, compile_condition
from sluice_contracts.sentences import FILTER_SENTENCES
from sluice_contracts.vocabulary import FilterCode


def judge_of(
    condition: str | None,
    variables: Mapping[str, Any],
    earlier_steps: Mapping[str, PageOutcomes],
    waits: Mapping[int, Mapping[str, Any]],
) -> Judge | None:
    """Return what decides over a step's `condition`, None where there is none.

    `earlier_steps` are the outcomes of the same page, by step id; `waits` how waits ended, by position and step id. A
    condition that cannot be decided for a person speaks against them: what is not clearly wanted is not sent.
    """
    if condition is None:
        return None
    try:
        compiled = compile_condition(condition)
    except ConditionProblem as problem:
        unusable = f"The step's condition cannot be used: {problem}"
        return lambda person: unusable

    def judge(person: Person) -> str | None:
        decision = compiled.evaluate(
            contact=person.contact.values() if person.contact else {},
            variables=variables,
            steps={
                **{step_id: page.seen_by_conditions(person.seq) for step_id, page in earlier_steps.items()},
                **waits.get(person.seq, {}),
            },
        )
        if isinstance(decision, ConditionError):
            return f"The step's condition could not be decided: {decision.reason}"
        return None if decision else FILTER_SENTENCES[FilterCode.CONDITION_FALSE]

    return judge
