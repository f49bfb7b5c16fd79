from __future__ import annotations

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from sluice_messaging.kafka.partitioner import murmur2, partition_of


@given(st.binary(max_size=100))
def test_a_key_has_the_hash_that_every_client_of_kafka_gives_it(key: bytes) -> None:
    assert murmur2(key) == reference(key)


@given(st.binary(max_size=50), st.integers(1, 200))
def test_a_key_lies_in_the_partition_that_aiokafka_would_choose(key: bytes, size: int) -> None:
    partitions = list(range(size))
    assert partition_of(key, partitions, partitions) == DefaultPartitioner()(key, partitions, partitions)


def test_a_record_without_a_key_goes_to_a_partition_that_can_take_it() -> None:
    assert {partition_of(None, [0, 1, 2], [1]) for _ in range(20)} == {1}
    assert partition_of(None, [7], []) == 7
