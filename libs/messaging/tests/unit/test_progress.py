"""The progress of one assignment."""

from __future__ import annotations

from sluice_messaging.progress import Progress
from sluice_messaging.records import Partition, Record


def record(offset: int, partition: int = 0) -> Record:
    return Record("t", partition, offset, None, b"", {}, 0)


def test_only_what_has_moved_since_the_last_commit_is_committed() -> None:
    progress = Progress()
    for each in (record(5), record(6), record(9, 1)):
        progress.begin(each)
    assert progress.uncommitted() == {}
    progress.finish(record(5))
    progress.finish(record(9, 1))
    assert progress.uncommitted() == {Partition("t", 0): 6, Partition("t", 1): 10}
    progress.mark_committed({Partition("t", 0): 6, Partition("t", 1): 10})
    assert progress.uncommitted() == {}
    progress.finish(record(6))
    assert progress.uncommitted() == {Partition("t", 0): 7}
    assert progress.in_flight == 0


def test_another_would_resume_where_this_one_began_until_something_is_committed() -> None:
    progress = Progress()
    partition = Partition("t", 0)
    assert progress.resume_offset(partition) is None
    progress.begin(record(5))
    assert progress.resume_offset(partition) == 5
    progress.mark_committed({partition: 6})
    assert progress.resume_offset(partition) == 6


def test_a_partition_with_a_stuck_record_is_overdrawn_by_distance_not_by_count() -> None:
    progress = Progress()
    for offset in range(10):
        progress.begin(record(offset))
        progress.begin(record(offset, 1))
    for offset in range(1, 10):
        progress.finish(record(offset))
        progress.finish(record(offset, 1))
    progress.finish(record(0, 1))
    assert progress.in_flight == 1
    assert progress.overdrawn(10) == {Partition("t", 0)}
    assert progress.overdrawn(11) == frozenset()
