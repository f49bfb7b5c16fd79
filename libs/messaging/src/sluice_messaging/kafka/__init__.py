"""Apache Kafka, through aiokafka."""

from sluice_messaging.kafka import connection
from sluice_messaging.kafka.messaging import KafkaMessaging

__all__ = ["KafkaMessaging"]

connection.make_default()
