"""How brokers are set up."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice_local.kafka import BrokerPorts, Kafka
from sluice_local.processes import StartError

PORTS = [BrokerPorts(20_001, 20_002), BrokerPorts(20_003, 20_004), BrokerPorts(20_005, 20_006)]


def test_data_of_three_brokers_is_not_opened_with_one(tmp_path: Path) -> None:
    for node in (1, 2, 3):
        (tmp_path / f"broker-{node}").mkdir()
        (tmp_path / f"broker-{node}" / "meta.properties").touch()
    with pytest.raises(StartError, match="BROKERS=3"):
        Kafka(tmp_path, PORTS[:1], tmp_path).prepare()


def test_clients_are_given_every_broker(tmp_path: Path) -> None:
    assert Kafka(tmp_path, PORTS, tmp_path).bootstrap == "127.0.0.1:20001,127.0.0.1:20003,127.0.0.1:20005"
