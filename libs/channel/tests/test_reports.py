"""The compact columns of the ledger."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluice_channel.reports import JobReport, Reports, pack, pack_columns, unpack, unpack_columns
from sluice_contracts.vocabulary import JobState, MessageState

texts = st.none() | st.text(max_size=20)
numbers = st.none() | st.integers(0, 2**40)
reports = st.builds(
    JobReport,
    seq=st.integers(0, 2**31),
    state=st.sampled_from(list(JobState)),
    at=st.integers(0, 2**45),
    attempt=st.integers(0, 5),
    code=texts,
    detail=texts,
    until=numbers,
    message=st.none() | st.sampled_from(list(MessageState)),
    provider=texts,
    provider_id=texts,
    segments=numbers,
    cost_micros=numbers,
)


@given(st.lists(reports, min_size=1, max_size=50))
def test_what_is_packed_comes_out_the_same(given_reports: list[JobReport]) -> None:
    assert list(unpack(pack(Reports.of(given_reports)))) == given_reports


@given(reports, st.integers(1, 50))
def test_what_is_the_same_in_every_row_is_written_once(report: JobReport, times: int) -> None:
    packed = pack(Reports.of([report] * times))
    assert len(packed) <= len(pack(Reports.of([report]))) + 2
    assert list(unpack(packed)) == [report] * times


def test_columns_of_nothing_are_left_out() -> None:
    packed = pack_columns(seq=[1, 2], address=["a", None], external_id=[None, None])
    assert unpack_columns(packed) == {"seq": [1, 2], "address": ["a", None]}


@given(st.lists(reports, min_size=1, max_size=10, unique_by=lambda report: report.seq), st.data())
def test_a_proof_makes_a_job_sent_and_touches_no_other(given_reports: list[JobReport], data: st.DataObject) -> None:
    proven = set(data.draw(st.lists(st.sampled_from([report.seq for report in given_reports]))))
    proved = Reports.of(given_reports)
    proved.prove(proven)
    for before, after in zip(given_reports, proved, strict=True):
        if before.seq in proven:
            assert after.state is JobState.SENT
            assert after.until is None or before.state is JobState.SENT
        else:
            assert after == before
