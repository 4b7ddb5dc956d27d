"""A topic as a log: what is read from where, and what each thing that can go wrong is told."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AclOperation, ResourceType
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.kafka.log import KafkaLog
from beam_pipelines.ingest.kafka.read import KafkaReadOptions, address_of
from beam_pipelines.ingest.kafka.starts import parse_start
from beam_pipelines.ingest.streams.log import Polled
from beam_pipelines.uris import parse_uri, read_options
from scripts.kafka import PASSWORD
from tests.servers.identity_provider import identity_provider
from tests.servers.kafka import Kafka


def opened(text: str) -> KafkaLog:
    uri = parse_uri(text)
    return KafkaLog(address_of(uri, read_options(uri, KafkaReadOptions)))


@pytest.fixture
def logs() -> Iterator[list[KafkaLog]]:
    """Logs to close when the test is over."""
    found: list[KafkaLog] = []
    yield found
    for each in found:
        each.close()


def read_all(log: KafkaLog, max_rows: int = 1000, max_bytes: int = 1 << 20) -> list[Polled]:
    """Read every partition from its start to the end that it has now."""
    names = log.partitions()
    positions, ends = {name: log.start(name) for name in names}, log.ends(names)
    found: list[Polled] = []
    until = time.monotonic() + 60
    while any(positions[name] < ends[name] for name in names):
        assert time.monotonic() < until, (positions, ends)
        for polled in log.poll(positions, max_rows, max_bytes):
            positions[polled.partition] = polled.position
            if polled.batch.num_rows:
                found.append(polled)
    return found


def rows(found: Sequence[Polled]) -> list[dict[str, object]]:
    return sorted(
        (row for polled in found for row in polled.batch.to_pylist()),
        key=lambda row: (row["__partition"], row["__position"]),
    )


def test_a_message_keeps_all_that_kafka_knows_of_it(broker: Kafka, logs: list[KafkaLog]) -> None:
    topic = broker.topic(partitions=2)
    headers = [("trace", b"1"), ("trace", b"2"), ("none", None)]
    broker.produce(topic, [(b"k", b'{"a":1}', headers, 1_700_000_000_123), (None, b"", None, 1_700_000_000_000)], 1)
    broker.produce(topic, [(b"dead", None)], 0)
    logs.append(opened(broker.uri(topic)))
    tombstone, first, second = rows(read_all(logs[0]))
    assert first.pop("__publish_time") == pa.scalar(1_700_000_000_123_000, pa.timestamp("us", "UTC")).as_py()
    assert first == {
        "__payload": b'{"a":1}',
        "__source": topic,
        "__partition": 1,
        "__position": 0,
        "__key": b"k",
        "__attributes": headers,
    }
    assert (second["__payload"], second["__key"], second["__attributes"]) == (b"", None, None)
    assert (tombstone["__payload"], tombstone["__key"]) == (None, b"dead")


@pytest.fixture(scope="module")
def numbered(broker: Kafka) -> str:
    """Messages 0 to 9 in each of two partitions, one a second since 1,000 s."""
    topic = broker.topic(partitions=2)
    for partition in (0, 1):
        broker.produce(topic, [(None, b"%d" % n, None, 1_000_000 + n * 1000) for n in range(10)], partition)
    return topic


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("earliest", {0: 0, 1: 0}),
        ("latest", {0: 10, 1: 10}),
        ("offsets:1=7", {0: 0, 1: 7}),
        ("timestamp:1970-01-01T00:16:43.5Z", {0: 4, 1: 4}),
        ("timestamp:1970-01-01T02:16:44%2B02:00", {0: 4, 1: 4}),
        ("timestamp:2020-01-01T00:00:00Z", {0: 10, 1: 10}),
        ("committed&group=never", {0: 0, 1: 0}),
    ],
)
def test_reading_begins_where_it_is_told(
    broker: Kafka, logs: list[KafkaLog], numbered: str, start: str, expected: dict[int, int]
) -> None:
    logs.append(opened(broker.uri(numbered, f"start={start}")))
    assert {int(name): logs[0].start(name) for name in logs[0].partitions()} == expected
    assert logs[0].ends(["0", "1"]) == {"0": 10, "1": 10}
    assert logs[0].backlog({"0": 3, "1": 12}) == {"0": 7, "1": 0}


def test_a_commit_is_where_the_next_reader_of_the_group_begins(
    broker: Kafka, logs: list[KafkaLog], numbered: str
) -> None:
    logs.append(opened(broker.uri(numbered, "group=commits")))
    logs[0].partitions()
    logs[0].commit({"0": 4})
    assert broker.committed(numbered, "commits") == {0: 4}
    logs.append(opened(broker.uri(numbered, "group=commits")))
    logs[1].partitions()
    assert [logs[1].start(name) for name in "01"] == [4, 0]


def test_without_a_group_nothing_is_committed(broker: Kafka, logs: list[KafkaLog], numbered: str) -> None:
    logs.append(opened(broker.uri(numbered)))
    logs[0].commit({"0": 4})
    assert broker.committed(numbered, "beam-pipelines") == {}


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4))
def test_a_bundle_that_is_tried_again_reads_the_same_rows_again(
    broker: Kafka, numbered: str, jumps: list[tuple[int, int]]
) -> None:
    log = opened(broker.uri(numbered))
    try:
        for first, second in jumps:
            wanted = {(0, n) for n in range(first, 10)} | {(1, n) for n in range(second, 10)}
            positions = {"0": first, "1": second}
            found: set[tuple[int, int]] = set()
            until = time.monotonic() + 30
            while not wanted <= found and time.monotonic() < until:
                for polled in log.poll(positions, 3, 1 << 20):
                    positions[polled.partition] = polled.position
                    for row in polled.batch.to_pylist():
                        place = (row["__partition"], row["__position"])
                        assert place not in found
                        found.add(place)
            assert found == wanted
    finally:
        log.close()


def test_rows_and_bytes_of_a_poll_are_bounded(broker: Kafka, logs: list[KafkaLog]) -> None:
    topic = broker.topic(max_message_bytes=16 << 20)
    sizes = [100] * 500 + [10 << 20] + [200_000] * 30 + [0] * 100
    broker.produce(topic, [(None, b"x" * size) for size in sizes])
    logs.append(opened(broker.uri(topic)))
    found = read_all(logs[0], max_rows=64, max_bytes=1_000_000)
    assert [len(row["__payload"]) for row in rows(found)] == sizes  # type: ignore[arg-type]
    for polled in found:
        assert polled.batch.num_rows <= 64
        assert polled.batch.num_rows == 1 or polled.batch.column("__payload").nbytes < 1_010_000


def test_messages_of_transactions_that_failed_or_are_open_are_not_read(broker: Kafka, logs: list[KafkaLog]) -> None:
    topic = broker.topic()
    producer = Producer({"bootstrap.servers": broker.address, "transactional.id": topic})
    producer.init_transactions()
    for value, end in ((b"kept", "commit"), (b"dropped", "abort"), (b"kept too", "commit"), (b"open", "")):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush()
        if end:
            getattr(producer, f"{end}_transaction")()
    logs += [opened(broker.uri(topic)), opened(broker.uri(topic, "isolation=uncommitted"))]
    committed, uncommitted = (rows(read_all(log)) for log in logs)
    producer.abort_transaction()
    assert [row["__payload"] for row in committed] == [b"kept", b"kept too"]
    assert [row["__payload"] for row in uncommitted] == [b"kept", b"dropped", b"kept too", b"open"]


def test_a_partition_that_is_added_is_read_from_its_first_message(broker: Kafka, logs: list[KafkaLog]) -> None:
    topic = broker.topic()
    broker.produce(topic, [(None, b"old")])
    logs.append(opened(broker.uri(topic, "start=latest")))
    assert [logs[0].start(name) for name in logs[0].partitions()] == [1]
    broker.add_partitions(topic, 2)
    broker.produce(topic, [(None, b"new")], partition=1)
    assert list(logs[0].partitions()) == ["0", "1"]
    assert logs[0].start("1") == 0


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_every_codec_of_kafka_is_read(broker: Kafka, logs: list[KafkaLog], codec: str) -> None:
    topic = broker.topic()
    broker.produce(topic, [(None, b"%d" % n) for n in range(100)], compression_type=codec)
    logs.append(opened(broker.uri(topic)))
    assert [row["__payload"] for row in rows(read_all(logs[0]))] == [b"%d" % n for n in range(100)]


def test_what_retention_deleted_is_told_by_its_offsets(broker: Kafka, logs: list[KafkaLog]) -> None:
    topic = broker.topic()
    broker.produce(topic, [(None, b"%d" % n) for n in range(10)])
    broker.delete_before(topic, 0, 6)
    logs.append(opened(broker.uri(topic, "start=offsets:0=2")))
    lost, *kept = read_all(logs[0])
    assert (lost.batch.column("__position")[0].as_py(), lost.position) == (2, 6)
    (failed,) = lost.batch.column(FAILURES).to_pylist()[0]
    assert failed["rule"] == "kafka.offsets_lost"
    assert f"offsets 2 to 5 of {topic}/0 (4 of them) were deleted" in failed["message"]
    assert [row["__payload"] for row in rows(kept)] == [b"6", b"7", b"8", b"9"]
    logs.append(opened(broker.uri(topic, "start=offsets:0=2&lost=fail")))
    with pytest.raises(UsageError, match="offsets 2 to 5"):
        read_all(logs[1])


def test_an_offset_beyond_the_end_is_told(broker: Kafka, logs: list[KafkaLog], numbered: str) -> None:
    logs.append(opened(broker.uri(numbered)))
    found: list[Polled] = []
    until = time.monotonic() + 30
    while not found and time.monotonic() < until:
        found = [polled for polled in logs[0].poll({"0": 99}, 100, 1000) if polled.batch.num_rows]
    (failed,) = found[0].batch.column(FAILURES).to_pylist()[0]
    assert f"{numbered}/0 was to be read from offset 99, but ends at 10" in failed["message"]
    assert found[0].position == 0


def _refusal(text: str) -> str:
    began = time.monotonic()
    with pytest.raises(UsageError) as caught:
        _look(text)
    assert time.monotonic() - began < 15
    assert PASSWORD not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


def _look(text: str) -> None:
    log = opened(text)
    try:
        log.partitions()
    finally:
        log.close()


def test_an_unknown_topic_is_told_at_once_with_the_nearest(broker: Kafka) -> None:
    topic = broker.topic(name="shop-orders")
    told = _refusal(broker.uri("shop-order"))
    assert told.startswith(f"kafka://{broker.address}: there is no topic 'shop-order'")
    assert told.endswith(f"Did you mean '{topic}'?")


@pytest.fixture(scope="module")
def with_users(broker: Kafka, numbered: str) -> Kafka:
    broker.add_users()
    for operation in (AclOperation.READ, AclOperation.DESCRIBE):
        broker.allow("shop", ResourceType.TOPIC, numbered, operation)
    return broker


SASL = ("plain", "scram-sha-256", "scram-sha-512")


@pytest.mark.parametrize("mechanism", SASL)
def test_a_user_reads_with_a_password(
    with_users: Kafka, logs: list[KafkaLog], numbered: str, mechanism: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    place = f"localhost:{with_users.ports['SASL']}/{numbered}?sasl={mechanism}&password=env:KAFKA_PASSWORD"
    logs.append(opened(f"kafka://shop@{place}"))
    assert len(rows(read_all(logs[0]))) == 20
    assert f"user 'stranger' may not use topic '{numbered}'" in _refusal(f"kafka://stranger@{place}")
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    assert "the broker refuses the credentials of user 'shop'" in _refusal(f"kafka://shop@{place}")


def _token(subject: str) -> str:
    """A token without a signature, which this broker takes."""
    now = int(time.time())
    parts = [{"alg": "none"}, {"sub": subject, "iat": now, "exp": now + 600}]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return f"{'.'.join(coded)}."


def test_a_bearer_token_is_read_from_where_it_is(
    with_users: Kafka, logs: list[KafkaLog], numbered: str, tmp_path: Path
) -> None:
    place = f"kafka://localhost:{with_users.ports['SASL']}/{numbered}?sasl=oauthbearer&token=file:{tmp_path}/token"
    assert "the token" in _refusal(place)
    (tmp_path / "token").write_text(_token("shop"))
    logs.append(opened(place))
    assert len(rows(read_all(logs[0]))) == 20
    (tmp_path / "token").write_text(_token("stranger"))
    assert f"may not use topic '{numbered}'" in _refusal(place)


def test_a_bearer_token_is_asked_for_at_an_identity_provider(
    with_users: Kafka, logs: list[KafkaLog], numbered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIENT_SECRET", "hunter2")
    with identity_provider({"shop": "hunter2"}, _token) as url:
        place = f"kafka://localhost:{with_users.ports['SASL']}/{numbered}?sasl=oauthbearer&token_url={url}&scope=kafka"
        logs.append(opened(f"{place}&client_id=shop&client_secret=env:CLIENT_SECRET"))
        assert len(rows(read_all(logs[0]))) == 20
        assert "hunter2" not in _refusal(f"{place}&client_id=nobody&client_secret=env:CLIENT_SECRET")


def test_tls_checks_the_certificate(broker: Kafka, logs: list[KafkaLog], numbered: str) -> None:
    place = f"kafka://localhost:{broker.ports['TLS']}/{numbered}?tls=true"
    logs.append(opened(f"{place}&ca={broker.certificate}"))
    assert len(rows(read_all(logs[0]))) == 20
    assert "no secure connection: check ?tls, ?ca and the port" in _refusal(place)
    assert "no-such-file" in _refusal(f"{place}&ca=no-such-file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kafka:///orders", "kafka:///orders: names no broker"),
        ("kafka://b", "kafka://b/: names no topic"),
        ("kafka://b/orders,returns", "can't be a topic"),
        ("kafka://b/orders?start=now", "?start: 'now': is not one of earliest, latest, committed"),
        ("kafka://b/orders?start=timestamp:2024-05-01T00:00:00", "has no offset from UTC"),
        ("kafka://b/orders?start=offsets:0=1,0=2", "names a partition twice"),
        ("kafka://b/orders?start=committed", "?start=committed needs ?group"),
        ("kafka://me@b/orders", "the user me is for nothing without ?sasl="),
        ("kafka://b/orders?sasl=plain", "needs a user and a password"),
        ("kafka://b/orders?sasl=oauthbearer", "needs either ?token or ?token_url"),
        ("kafka://b/orders?sasl=oauthbearer&token_url=https://x", "needs ?client_id and ?client_secret"),
        ("kafka://b/orders?ca=x.pem", "are for nothing without ?tls=true"),
        ("kafka://b/orders?password=hunter2", "say where it is, not what it is"),
    ],
)
def test_a_wrong_uri_is_refused_before_anything_is_asked(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        opened(text)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_timestamp_is_read_to_the_millisecond() -> None:
    assert parse_start("timestamp:2024-05-01T02:00:00.123+02:00").millis == 1_714_521_600_123
