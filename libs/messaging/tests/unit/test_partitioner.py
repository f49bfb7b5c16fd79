from __future__ import annotations

from uuid import UUID

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from sluice_messaging.kafka.partitioner import hashes_of, murmur2, murmur2_of_each, partition_of, place_of


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


@given(st.integers(0, 12), st.data())
def test_each_of_many_keys_of_one_length_has_the_hash_that_it_has_alone(words: int, data: st.DataObject) -> None:
    of_one_length = st.binary(min_size=4 * words, max_size=4 * words)
    keys = data.draw(st.lists(of_one_length, min_size=1, max_size=10))
    assert list(murmur2_of_each(b"".join(keys), len(keys))) == [murmur2(key) for key in keys]


@given(st.lists(st.just(b"") | st.uuids().map(lambda made: str(made).encode()), max_size=12))
def test_keys_that_travel_together_have_the_hashes_that_they_have_alone(keys: list[bytes]) -> None:
    assert list(hashes_of(keys)) == [murmur2(key) for key in keys]


def test_records_without_a_key_are_spread_also_where_others_have_one() -> None:
    found = hashes_of([None, *[b"12345678"] * 8, None])
    assert found[1:-1] == [murmur2(b"12345678")] * 8
    assert {place_of(hashes_of([None])[0], 2) for _ in range(100)} == {0, 1}


def test_ids_that_travel_together_have_the_hashes_that_they_have_alone() -> None:
    keys = [str(UUID(int=number**9)).encode() for number in range(1000)]
    assert list(hashes_of(keys)) == [murmur2(key) for key in keys]
