"""Making the topics: before any service starts, with the settings that the catalogue gives them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from sluice_contracts.topics import Cleanup, Topic, catalogue, dead_letter_topic
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka.address import connection_options
from sluice_messaging.kafka.producer import MAX_DEAD_LETTER_BYTES, MAX_RECORD_BYTES
from sluice_messaging.tasks import finished

REQUEST_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 2.0
_LOOK_AGAIN_SECONDS: Final = 0.05

_log = structlog.get_logger()


async def create_topics(
    bootstrap: str,
    replication: int = 1,
    min_insync_replicas: int | None = None,
    topics: Iterable[Topic] | None = None,
) -> list[str]:
    """Create whatever is missing of `topics` (the whole catalogue unless told) and of their dead letters.

    Each is kept on `replication` brokers, of which `min_insync_replicas` (one less than `replication`, at least one,
    unless told) must have a record before it is acknowledged. Topics that exist are left as they are. Safe to repeat
    and to run twice at once. Returns, once all can be used, the names of those created. Raises BrokerUnavailableError.
    """
    wanted = _with_dead_letters(catalogue() if topics is None else topics)
    in_step = max(1, replication - 1) if min_insync_replicas is None else min_insync_replicas
    admin = AIOKafkaAdminClient(
        **connection_options(bootstrap), client_id="sluice-administration", request_timeout_ms=10_000
    )
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            await admin.start()
            present = set(await admin.list_topics())
            missing = [_as_new(*wanted[name], replication, in_step) for name in wanted if name not in present]
            created = await _create(admin, missing) if missing else []
            await _visible(admin, list(wanted))
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailableError(f"topics could not be created: {error!r}") from error
    finally:
        await finished("administration.close", admin.close(), _CLOSE_SECONDS)
    _log.info("topics.created", created=created, present=len(present))
    return created


def _with_dead_letters(topics: Iterable[Topic]) -> dict[str, tuple[Topic, int]]:
    """Return each topic to make by its name, with the bytes of the largest record that it takes."""
    return {
        name: (each, largest)
        for topic in topics
        for name, each, largest in (
            (topic.name, topic, MAX_RECORD_BYTES),
            (topic.dead_letters, dead_letter_topic(topic), MAX_DEAD_LETTER_BYTES),
        )
    }


def _as_new(topic: Topic, largest_bytes: int, replication: int, min_insync_replicas: int) -> NewTopic:
    settings = {
        "retention.ms": str(topic.retention_ms),
        "cleanup.policy": str(topic.cleanup),
        "min.insync.replicas": str(min_insync_replicas),
        "max.message.bytes": str(largest_bytes),
    }
    if topic.cleanup is Cleanup.COMPACT:
        settings |= _COMPACTION
    return NewTopic(topic.name, topic.partitions, replication, topic_configs=settings)


_COMPACTION: Final = {"min.cleanable.dirty.ratio": "0.1", "segment.ms": "86400000"}
"""Compact often: every process reads the whole topic when it starts."""


async def _create(admin: AIOKafkaAdminClient, topics: list[NewTopic]) -> list[str]:
    response = await admin.create_topics(topics)
    created = []
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if error is NoError:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            raise error(name)
    return created


async def _visible(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Return once the brokers know a leader for every partition of the topics called `names`."""
    while True:
        described = await admin.describe_topics(names)
        if all(topic["partitions"] and all(each["leader"] >= 0 for each in topic["partitions"]) for topic in described):
            return
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
