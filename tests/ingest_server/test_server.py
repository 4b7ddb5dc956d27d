"""The server before a real broker: each of its answers, and what is in the topic then."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest_server.options import IngestServerOptions
from beam_pipelines.ingest_server.serve import opened
from beam_pipelines.launch.cli import main
from beam_pipelines.sink.records import ID_HEADER
from tests.ingest_server.client import LINES, SECONDS, Server, serving_here
from tests.servers.kafka import Kafka

ORDERS = str(Path(__file__).parents[2] / "examples" / "data" / "orders.odcs.yaml")


def _order(**other: object) -> bytes:
    order = {"order_id": 1, "customer": "ann@example.org", "country": "DE", "price": 5, "quantity": 1}
    return json.dumps(order | {"ordered_at": "2024-03-01T09:15:00Z"} | other).encode()


def _kept(broker: Kafka, topic: str) -> dict[str, bytes]:
    """Id → value of the records that are in a topic."""
    return {dict(message.headers())[ID_HEADER].decode(): message.value() for message in broker.read(topic)}


def test_each_form_of_records_is_in_the_topic_under_the_ids_that_are_answered(broker: Kafka) -> None:
    topic = broker.topic(partitions=2)
    sent: dict[str, bytes] = {}
    with serving_here(to=broker.uri(topic)) as server:
        for answer, values in [
            (server.post(b'{"n": 1, "text": "\xc3\xa4"}'), [b'{"n": 1, "text": "\xc3\xa4"}']),
            (server.post(b'[{"n": 2}, {"n":  3}]', path="/records"), [b'{"n": 2}', b'{"n":  3}']),
            (server.post(b'{"n": 4}\n\n{"n": 5}\n', LINES), [b'{"n": 4}', b'{"n": 5}']),
            (server.post(gzip.compress(b'{"n": 6}'), Content_Encoding="gzip"), [b'{"n": 6}']),
            (server.post(iter([b'{"n"', b": 7}"])), [b'{"n": 7}']),  # chunked, without a length
        ]:
            assert answer.status == 202
            assert answer.body["accepted"] == len(values)
            sent |= dict(zip(answer.body["ids"], values, strict=True))
    assert len(sent) == 7
    assert _kept(broker, topic) == sent


@pytest.fixture(scope="module")
def plain(broker: Kafka) -> Iterator[tuple[Server, str]]:
    """A server that must refuse all that it gets here, and its topic."""
    topic = broker.topic()
    with serving_here(to=broker.uri(topic), max_body_bytes=1000, max_in_flight_bytes=1500, timeout=2.0) as server:
        yield server, topic


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"body": b'{"n": '}, 400, "1 of 1 records is refused"),
        ({"body": b'{"n": 1}\n[]\n', "kind": LINES}, 400, "1 of 2 records is refused, so none is taken"),
        ({"body": b'{"n": "\xff"}'}, 400, "the body is not UTF-8 (byte 7)"),
        ({"body": b"[" * 900}, 400, "the body is not JSON"),
        ({"body": b"x" * 1001}, 413, "longer than 1000 bytes"),
        ({"body": iter([b"x" * 600] * 2)}, 413, "longer than 1000 bytes"),
        ({"body": gzip.compress(b"x" * 1001), "Content_Encoding": "gzip"}, 413, "longer than 1000 bytes"),
        ({"body": b"{}", "Content_Encoding": "gzip"}, 400, "gzip"),
        ({"body": b"{}", "Content_Encoding": "br"}, 415, "Content-Encoding 'br' is not known"),
        ({"body": b"{}", "kind": "text/plain"}, 415, "Content-Type 'text/plain' is not known"),
        ({"body": b"{}", "Idempotency_Key": "two words"}, 400, "Idempotency-Key has to be"),
        ({"body": b"{}", "Host": "evil.example:80"}, 403, "call it localhost"),
    ],
)
def test_what_is_refused_says_why_and_leaves_nothing(
    plain: tuple[Server, str], broker: Kafka, asked: dict[str, Any], status: int, message: str
) -> None:
    server, topic = plain
    answer = server.post(**asked)
    assert answer.status == status
    assert message in answer.body["error"]
    assert broker.read(topic) == []
    assert server.get("/healthz").body["in_flight_bytes"] == 0


def _slowly(port: int, length: int, sent: bytes) -> socket.socket:
    """A client that says how much it will send, and sends less."""
    client = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    client.sendall(head.encode() + sent)
    return client


def test_slow_clients_are_told_so_and_what_they_hold_is_bounded(plain: tuple[Server, str]) -> None:
    server, _ = plain
    with _slowly(server.port, 1000, b"[" * 999) as slow:
        _wait(lambda: server.get("/healthz").body["in_flight_bytes"] == 999)
        too_much = server.post(b"[" * 900)
        assert (too_much.status, too_much.headers["retry-after"]) == (503, "1")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")
    with _slowly(server.port, 1000, b"[" * 999) as leaving:
        _wait(lambda: server.get("/healthz").body["in_flight_bytes"] == 999)
        leaving.shutdown(socket.SHUT_RDWR)
    _wait(lambda: server.get("/healthz").body["in_flight_bytes"] == 0)
    assert server.post(b"[" * 900).status == 400


def _wait(true: Any) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_by_a_contract_all_of_a_request_is_taken_or_none(broker: Kafka) -> None:
    topic = broker.topic()
    with serving_here(to=broker.uri(topic, "key=country&time=ordered_at"), contract=ORDERS) as server:
        bad = [_order(), _order(price=-1, quantity="two"), b"", _order(country=None, customer=7), b"{"]
        answer = server.post(b"\n".join(bad), LINES)
        assert answer.status == 400  # one of them is no JSON; without it:
        answer = server.post(b"\n".join(bad[:-1]), LINES)
        assert answer.status == 422
        assert answer.body["error"] == "2 of 3 records are refused, so none is taken"
        first, second = answer.body["records"]
        assert (first["record"], first["line"], second["record"], second["line"]) == (2, 2, 3, 4)
        found = {(each["rule"], each["field"]): each.get("value") for each in first["failures"]}
        assert found == {("minimum", "price"): "-1.00", ("type", "quantity"): '"two"'}
        hidden = {(each["rule"], each["field"]): each.get("value") for each in second["failures"]}
        assert hidden == {("type", "customer"): "***", ("required", "country"): None}
        assert broker.read(topic) == []

        assert server.post(b"[" + _order() + b"," + _order(country="FR", extra=1) + b"]").status == 202
    kept = broker.read(topic)
    assert [message.key() for message in kept] == [b"DE", b"FR"]
    assert [message.value() for message in kept] == [_order(), _order(country="FR", extra=1)]
    assert kept[0].timestamp()[1] == 1709284500000  # 2024-03-01T09:15:00Z


def test_a_request_that_is_sent_again_under_its_key_has_the_same_ids(broker: Kafka) -> None:
    topic = broker.topic()
    with serving_here(to=broker.uri(topic)) as server:
        first, again = (server.post(b'[{"n": 1}, {"n": 2}]', Idempotency_Key='"6f1c"') for _ in range(2))
        assert first.body["ids"] == again.body["ids"]
        # A key that is used twice by mistake must not make other records look like repeated ones.
        other = server.post(b'[{"n": 3}]', Idempotency_Key="6f1c")
        keyless = [server.post(b'{"n": 4}').body["ids"][0] for _ in range(2)]
    ids = {*first.body["ids"], *other.body["ids"], *keyless}
    assert len(ids) == 5
    assert _kept(broker, topic).keys() == ids
    assert len(broker.read(topic)) == 7


def test_only_who_has_the_token_writes(broker: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_TOKEN", "open-sesame")
    with serving_here(to=broker.uri(broker.topic()), host="0.0.0.0", token="env:INGEST_TOKEN") as server:
        for wrong in ({}, {"Authorization": "Bearer open-sesam"}, {"Authorization": "Basic open-sesame"}):
            refused = server.post(b"{}", **wrong)
            assert refused.status == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")
        assert server.post(b"{}", Authorization="Bearer open-sesame", Host="records.example").status == 202
        assert server.get("/readyz").status == 200


def test_a_record_that_the_topic_never_takes_is_told_and_is_not_accepted(broker: Kafka) -> None:
    topic = broker.topic(max_message_bytes=2000)
    with serving_here(to=broker.uri(topic, "compression=none")) as server:
        answer = server.post(b'[{"n": 1}, {"n": "' + b"x" * 3000 + b'"}]')
        assert answer.status == 422
        assert [each["record"] for each in answer.body["records"]] == [2]
        assert answer.body["records"][0]["failures"][0]["rule"] == "kafka.refused"
        assert server.post(b'{"n": 3}').status == 202
    assert [message.value() for message in broker.read(topic)] == [b'{"n": 1}', b'{"n": 3}']


def test_a_broker_that_does_not_answer_is_503_until_it_does(broker: Kafka) -> None:
    topic = broker.topic()
    assert broker._process is not None
    with serving_here(to=broker.uri(topic), timeout=1.0) as server:
        assert server.post(b'{"n": 1}').status == 202
        os.killpg(broker._process.pid, signal.SIGSTOP)
        try:
            refused = server.post(b'{"n": 2}')
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert "may be kept or not" in refused.body["error"]
            assert server.get("/readyz").status == 503
            assert server.get("/healthz").status == 200
        finally:
            os.killpg(broker._process.pid, signal.SIGCONT)
        _wait(lambda: server.get("/readyz").status == 200)
        _wait(lambda: server.post(b'{"n": 3}').status == 202)
        _wait(lambda: server.get("/healthz").body["in_flight_bytes"] == 0)
    values = [message.value() for message in broker.read(topic)]
    assert values[0] == b'{"n": 1}'
    assert b'{"n": 3}' in values


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"to": "{broker}/ordres"}, "there is no topic 'ordres'"),
        ({"to": "kafka://localhost:1/orders", "timeout": 1.0}, "kafka://localhost:1 doesn't answer"),
        ({"to": "amqp://localhost/orders"}, "nothing for this scheme"),
        ({"to": "{broker}/orders?key=country"}, "?key needs the columns of a contract: add --contract"),
        ({"to": "{broker}/orders?key=contry", "contract": ORDERS}, "Did you mean 'country'?"),
        ({"to": "{broker}/orders", "host": "0.0.0.0"}, "without --token anybody who reaches this machine could write"),
        ({"to": "{broker}/orders", "token": "env:NO_SUCH"}, "the environment variable NO_SUCH is not set"),
    ],
)
def test_what_can_not_work_is_told_at_the_start(broker: Kafka, given: dict[str, Any], message: str) -> None:
    given["to"] = given["to"].replace("{broker}", f"kafka://{broker.address}")
    with pytest.raises(UsageError) as wrong, opened(IngestServerOptions(**given)):
        pass
    assert message in str(wrong.value)


def test_the_command_tells_all_that_is_wrong_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest-server", "--port", "99999", "--token", "hunter2", "--timeout", "0"]) == 2
    told = capsys.readouterr().err
    for part in (
        "--to is required",
        "--port: '99999': not a port",
        "--timeout: '0': not a positive number",
        "--token: is a secret",
    ):
        assert part in told
    assert "hunter2" not in told
