from __future__ import annotations

import uuid
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_contracts.identifiers import (
    PAGE_SIZE,
    JobId,
    derived_id,
    execution_id_for,
    first_job_of,
    new_id,
    new_ids,
    trigger_id_for_key,
)

SEQS = st.integers(min_value=0, max_value=2**31 - 1)
WORKSPACE = UUID("0199a7c0-0000-7000-8000-000000000001")


def test_new_ids_are_uuid7_of_their_millisecond() -> None:
    made = new_id(1_700_000_000.123)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_700_000_000_123


def test_ids_made_together_are_uuid7_of_one_millisecond_and_all_different() -> None:
    made = new_ids(1000, 1_700_000_000.123)
    assert len(set(made)) == 1000
    assert {(one.version, one.variant, one.int >> 80) for one in made} == {(7, uuid.RFC_4122, 1_700_000_000_123)}


def test_the_first_job_of_a_trigger_is_at_the_first_place_of_its_first_execution() -> None:
    triggers = [new_id(), *(uuid.UUID(int=number) for number in range(200))]
    jobs = [JobId(execution_id_for(trigger, 1, "sms"), 0) for trigger in triggers]
    assert [first_job_of(trigger, "sms") for trigger in triggers] == [str(job) for job in jobs]
    assert {job.execution_id.version for job in jobs} == {5}


def test_ids_of_later_moments_sort_later() -> None:
    moments = [1_700_000_000 + step / 1000 for step in range(100)]
    ids = [new_id(moment) for moment in moments]
    assert ids == sorted(ids)


def test_no_two_new_ids_are_alike() -> None:
    assert len({new_id(1.0) for _ in range(10_000)}) == 10_000


@given(st.uuids(), st.text())
def test_derived_ids_are_uuid5(namespace: UUID, name: str) -> None:
    assert derived_id(namespace, name) == uuid.uuid5(namespace, name)


def test_derived_ids_never_change() -> None:
    # Written down once: they must come out the same on every machine and in every release.
    trigger = trigger_id_for_key(WORKSPACE, "order-1")
    assert str(trigger) == "ceda623e-0bdd-57bc-a696-4e54b8a4d231"
    assert str(execution_id_for(trigger, 1, "sms")) == "00ac7829-310c-5cb7-8bc3-eb3728ac7a75"
    assert PAGE_SIZE == 200


@given(st.uuids(), st.uuids(), st.text(max_size=20))
def test_the_same_key_in_two_workspaces_is_two_triggers(one: UUID, other: UUID, key: str) -> None:
    assert (trigger_id_for_key(one, key) == trigger_id_for_key(other, key)) is (one == other)


@given(st.uuids(), st.lists(st.tuples(st.integers(1, 50), st.sampled_from(["sms", "email"])), unique=True))
def test_executions_of_one_trigger_are_all_different(trigger: UUID, places: list[tuple[int, str]]) -> None:
    assert len({execution_id_for(trigger, order, channel) for order, channel in places}) == len(places)


@given(st.uuids(), SEQS)
def test_a_job_id_survives_being_written_and_read(execution: UUID, seq: int) -> None:
    job = JobId(execution, seq)
    assert JobId.parse(str(job)) == job


@given(st.text(alphabet="0123456789abcdef-", max_size=45) | st.text(max_size=45))
def test_what_is_read_as_a_job_id_is_written_the_same(text: str) -> None:
    try:
        job = JobId.parse(text)
    except ValueError:
        return
    assert str(job) == text


HEX = "0" * 31 + "1"


@pytest.mark.parametrize(
    "text",
    ["", "-", HEX, f"{HEX}-", f"{HEX}-x", f"{HEX}--1", f"{HEX}-+1", f"{HEX}-01", f"{HEX}-1 ", f" {HEX}-1", f"{HEX}-٣",
     f"{HEX}-{2**31}", f"{HEX}-{'9' * 5000}", f"{HEX[1:]}-1", f"{HEX[:-2]}_1-1", f"{UUID(HEX)}-1", f"{HEX}-1\n"],
)  # fmt: skip
def test_anything_else_is_no_job_id(text: str) -> None:
    with pytest.raises(ValueError, match="not a job id"):
        JobId.parse(text)
