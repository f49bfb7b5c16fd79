"""A broker that asks for TLS and a password is reached by everything that talks to brokers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sluice_contracts.topics import CONTROL, catalogue
from sluice_local import processes
from sluice_local.kafka import BrokerPorts, Kafka
from sluice_messaging.administration import create_topics
from sluice_messaging.errors import BrokerUnavailableError
from sluice_messaging.kafka import KafkaMessaging
from sluice_messaging.kafka.inspection import KafkaInspector
from sluice_messaging.records import OutboundRecord, Record

pytestmark = pytest.mark.integration

CONTROL_TOPIC = [topic for topic in catalogue() if topic.name == CONTROL]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker behind TLS and a password that needs escaping."""
    folder = tmp_path_factory.mktemp("guarded")
    ca, key = self_signed(folder)
    client, controller, secure = processes.free_ports(3)
    cluster = Kafka(
        folder / "data",
        [BrokerPorts(client, controller)],
        folder,
        settings={
            "listeners": f"PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller},"
            f"SASL_SSL://127.0.0.1:{secure}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client},SASL_SSL://127.0.0.1:{secure}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
            'required user_sluice="p:w/d";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": ca.read_text().replace("\n", "\\n"),
            "ssl.keystore.key": key.replace("\n", "\\n"),
        },
    )
    try:
        cluster.prepare()
        cluster.start()
        cluster.wait_ready()
        yield f"sasl_ssl://sluice:p%3Aw%2Fd@127.0.0.1:{secure}?ca={ca}"
    finally:
        for process in cluster.processes.values():
            processes.stop(process, signal.SIGKILL, timeout=10)


def self_signed(folder: Path) -> tuple[Path, str]:
    """Write a certificate for 127.0.0.1 that vouches for itself; return its file and its key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sluice test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca = folder / "ca.pem"
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ca, pem.decode()


async def test_topics_records_and_tables_pass_through_tls_and_a_password(guarded: str) -> None:
    assert CONTROL in await create_topics(guarded, topics=CONTROL_TOPIC)
    seen: asyncio.Queue[Record] = asyncio.Queue()
    stop = asyncio.Event()
    async with KafkaMessaging(guarded, "test") as messaging:
        table = messaging.table_reader(CONTROL, seen.put_nowait)
        consumer = messaging.batch_consumer([CONTROL], "guarded", lambda records: put_all(seen, records), max_records=1)
        running = [asyncio.create_task(table.run(stop)), asyncio.create_task(consumer.run(stop))]
        try:
            await messaging.publisher.publish([OutboundRecord(CONTROL, b"key", b"value")])
            async with asyncio.timeout(30):
                records = [await seen.get(), await seen.get()]
        finally:
            stop.set()
            await asyncio.gather(*running)
    assert [(record.key, record.value) for record in records] == [(b"key", b"value")] * 2
    async with KafkaInspector(guarded, "test") as inspector:
        assert {each.partition.topic for each in await inspector.partitions()} >= {CONTROL}


async def put_all(queue: asyncio.Queue[Record], records: list[Record]) -> None:
    for record in records:
        queue.put_nowait(record)


async def test_a_wrong_password_is_a_broker_that_cannot_be_used(guarded: str) -> None:
    with pytest.raises(BrokerUnavailableError) as raised:
        await create_topics(guarded.replace("p%3Aw%2Fd", "wrong"), topics=CONTROL_TOPIC)
    assert "wrong" not in str(raised.value)
