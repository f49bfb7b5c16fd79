"""Apache Kafka with nothing but Python installed: Java from a wheel, jars through jgo, checked against a lock."""

from __future__ import annotations

from sluice_local.kafka.cluster import BrokerPorts, Kafka
from sluice_local.kafka.jars import JarsUnavailableError

__all__ = ["BrokerPorts", "JarsUnavailableError", "Kafka"]
