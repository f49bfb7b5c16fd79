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
from sluice_messaging.kafka.producer import MAX_RECORD_BYTES
from sluice_messaging.kafka.translation import bootstrap_list
from sluice_messaging.tasks import finished

REQUEST_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 2.0

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
    and to run twice at once. Returns the names of those created. Raises BrokerUnavailableError.
    """
    wanted = _with_dead_letters(catalogue() if topics is None else topics)
    in_step = max(1, replication - 1) if min_insync_replicas is None else min_insync_replicas
    admin = AIOKafkaAdminClient(
        bootstrap_servers=list(bootstrap_list(bootstrap)), client_id="sluice-administration", request_timeout_ms=10_000
    )
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            await admin.start()
            present = set(await admin.list_topics())
            missing = [_as_new(topic, replication, in_step) for topic in wanted if topic.name not in present]
            created = await _create(admin, missing) if missing else []
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailableError(f"topics could not be created: {error!r}") from error
    finally:
        await finished("administration.close", admin.close(), _CLOSE_SECONDS)
    _log.info("topics.created", created=created, present=len(present))
    return created


def _with_dead_letters(topics: Iterable[Topic]) -> list[Topic]:
    return [each for topic in topics for each in (topic, dead_letter_topic(topic))]


def _as_new(topic: Topic, replication: int, min_insync_replicas: int) -> NewTopic:
    settings = {
        "retention.ms": str(topic.retention_ms),
        "cleanup.policy": str(topic.cleanup),
        "min.insync.replicas": str(min_insync_replicas),
        "max.message.bytes": str(MAX_RECORD_BYTES),
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
