"""Queues over TLS, by real brokers: who trusts nobody's authority, or has no certificate, is told so at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pika
import pytest
from pika.exceptions import AMQPConnectionError

from beam_pipelines.amqp import connection as amqp
from beam_pipelines.errors import UsageError
from beam_pipelines.mqtt import connection as mqtt
from beam_pipelines.mqtt.connection import Disconnected
from scripts import certificates
from scripts.certificates import Certificates
from tests.servers.mosquitto import Mqtt
from tests.servers.rabbitmq import RabbitMQ


def _amqp(port: int, options: str) -> pika.BlockingConnection:
    return amqp.Connection.of(amqp.parse_uri(f"amqp://localhost:{port}/q?{options}")).open()


def _mqtt(port: int, options: str) -> mqtt.Session:
    return mqtt.Session(mqtt.Connection.of(mqtt.parse_uri(f"mqtt://localhost:{port}/t?{options}")), "tls")


def _as_client(made: Certificates) -> str:
    return f"tls=true&ca={made.authority}&certificate={made.client}&private_key=file:{made.client_key}"


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """What another authority has signed."""
    return certificates.make(tmp_path_factory.mktemp("others"))


def test_amqp_is_read_and_written_over_tls_with_a_certificate_of_ours(rabbitmq: RabbitMQ) -> None:
    queue = rabbitmq.queue()
    connection = _amqp(rabbitmq.port_with_tls, _as_client(rabbitmq.certificates))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"hidden", pika.BasicProperties(delivery_mode=2))
    assert channel.basic_get(queue, auto_ack=True)[2] == b"hidden"
    connection.close()


def test_mqtt_is_spoken_over_tls_with_and_without_a_certificate_of_ours(
    mosquitto: Mqtt, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = mosquitto.certificates
    monkeypatch.setenv("MQTT_KEY", made.client_key.read_text())
    for port, options in (
        (mosquitto.port_with_tls, f"tls=true&ca={made.authority}"),
        (mosquitto.port_with_clients, _as_client(made)),
        (
            mosquitto.port_with_clients,
            f"tls=true&ca={made.authority}&certificate={made.client}&private_key=env:MQTT_KEY",
        ),
    ):
        session = _mqtt(port, options)
        sent = session.client.publish("hidden", b"1", 1)
        session.until(sent.is_published)
        session.close()


def _refused(open_it: Callable[[int, str], object], port: int, options: str, *errors: type[Exception]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # paho doesn't close a socket whose handshake failed
        try:
            open_it(port, options)
        except (UsageError, *errors) as refused:
            return str(refused)
    pytest.fail("it was let in")


def test_a_broker_whose_authority_is_not_the_one_we_trust_is_left_at_once(
    rabbitmq: RabbitMQ, mosquitto: Mqtt, others: Certificates
) -> None:
    for open_it, port in ((_amqp, rabbitmq.port_with_tls), (_mqtt, mosquitto.port_with_tls)):
        for options in ("tls=true", f"tls=true&ca={others.authority}"):
            told = _refused(open_it, port, options)
            assert f"localhost:{port}: no secure connection (the certificate isn't one that we trust: " in told
            assert "check ?tls, ?ca, ?certificate and the port" in told


def test_a_client_without_a_certificate_or_with_somebody_elses_is_told(
    rabbitmq: RabbitMQ, mosquitto: Mqtt, others: Certificates
) -> None:
    for open_it, port, made in (
        (_amqp, rabbitmq.port_with_tls, rabbitmq.certificates),
        (_mqtt, mosquitto.port_with_clients, mosquitto.certificates),
    ):
        strange = f"&certificate={others.client}&private_key=file:{others.client_key}"
        for more in ("", strange):
            # Under TLS 1.3 the broker says so when we think that we are connected, and hangs up: that may be quicker.
            told = _refused(open_it, port, f"tls=true&ca={made.authority}{more}", AMQPConnectionError, Disconnected)
            assert f"localhost:{port}: " in told
            assert "check ?" in told
            assert "?certificate" in told


def test_a_port_that_does_not_encrypt_is_told(rabbitmq: RabbitMQ, mosquitto: Mqtt) -> None:
    assert "no secure connection (wrong version number): check ?tls" in _refused(_amqp, rabbitmq.port, "tls=true")
    # What a broker does that goes down, too: it is tried again.
    told = _refused(_mqtt, mosquitto.port, "tls=true", Disconnected)
    assert f"localhost:{mosquitto.port}: the broker ends a connection that is made secure just now (" in told


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("ca=ca.pem", "?ca is for nothing without ?tls=true"),
        ("tls=true&certificate=c.pem", "?certificate and ?private_key belong together"),
        ("tls=true&ca=nowhere.pem", "?ca: there is no file 'nowhere.pem' on this machine"),
        ("tls=true&ca={key}", "?ca: '{key}' holds no certificates in PEM"),
        ("tls=true&certificate={other}&private_key=file:{key}", "?certificate and ?private_key are no pair, or no PEM"),
        ("tls=true&private_key=secret", "?private_key"),
    ],
)
def test_what_does_not_go_together_is_told_without_a_connection(
    options: str, problem: str, others: Certificates, tmp_path: Path
) -> None:
    made = certificates.make(tmp_path)
    names = {"key": str(made.client_key), "other": str(others.client)}
    for open_it in (_amqp, _mqtt):
        assert problem.format(**names) in _refused(open_it, 1, options.format(**names))
