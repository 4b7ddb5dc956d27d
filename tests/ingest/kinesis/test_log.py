"""A stream as a log: where shards are begun and ended, what splits and merges do, and what is lost is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.kinesis import log as kinesis_log
from beam_pipelines.ingest.kinesis.log import KinesisAddress
from beam_pipelines.ingest.kinesis.read import KinesisReadOptions, address_of
from beam_pipelines.ingest.streams import open_logs
from beam_pipelines.ingest.streams.reader import LogMark, LogReader, LogSource
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.kinesis.connection import Connection
from beam_pipelines.retries import Retries
from beam_pipelines.uris import parse_uri, read_options
from scripts import kinesalite
from tests.servers.kinesis import Kinesis


@pytest.fixture(autouse=True)
def variables(kinesis: Kinesis, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in kinesis.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(kinesis_log, "_LIST_SECONDS", 0.2)
    yield
    open_logs.close_all()


def _source(uri: str, **told: Any) -> LogSource:
    parsed = parse_uri(uri)
    options = read_options(parsed, KinesisReadOptions)
    return LogSource(
        address_of(parsed, options), policy=WatermarkPolicy(idle_after=0), **{"max_readers": options.readers, **told}
    )


def _reader(source: LogSource, mark: LogMark | None = None) -> LogReader:
    return source.create_reader(None, mark)


def _mark_of(reader: LogReader, source: LogSource) -> LogMark:
    coder = source.get_checkpoint_mark_coder()
    return coder.decode(coder.encode(reader.get_checkpoint_mark()))


def _read(reader: LogReader, wanted: int, seconds: float = 20, *, exactly: bool = True) -> list[tuple[int, str]]:
    """Shards and payloads, or rules of what was refused, until there are so many; and nothing after them."""
    found: list[tuple[int, str]] = []
    until = time.monotonic() + seconds
    while len(found) < wanted:
        if not reader.advance():
            assert time.monotonic() < until, f"{len(found)} of {wanted}: {found[-5:]}"
            continue
        batch = reader.get_current()
        failures = batch.column(FAILURES).to_pylist() if FAILURES in batch.schema.names else [None] * batch.num_rows
        rows = zip(
            batch.column("__partition").to_pylist(), batch.column("__payload").to_pylist(), failures, strict=True
        )
        found += [(shard, failed[0]["rule"] if failed else payload.decode()) for shard, payload, failed in rows]
    assert len(found) == wanted or not exactly
    return found


def _payloads(found: list[tuple[int, str]]) -> list[int]:
    return sorted(int(payload) for _, payload in found)


def _numbers(first: int, number: int) -> list[bytes]:
    return [b"%d" % each for each in range(first, first + number)]


def test_a_record_tells_where_it_was_and_a_mark_holds_sequence_numbers_of_any_length(kinesis: Kinesis) -> None:
    stream = kinesis.stream()
    kinesis.put(stream, [b"1", b"2"], ["a", "ü"])
    source = _source(kinesis.uri(stream))
    reader = _reader(source)
    while not reader.advance():
        pass
    batch = reader.get_current()
    records = kinesis.read(stream)
    assert batch.column("__key").to_pylist() == [b"a", "ü".encode()]
    assert batch.column("__publish_time").to_pylist() == [each["ApproximateArrivalTimestamp"] for each in records]
    numbers = [dict(each)["kinesis.sequence_number"].decode() for each in batch.column("__attributes").to_pylist()]
    assert numbers == [each["SequenceNumber"] for each in records]
    assert len(set(batch.column("__position").to_pylist())) == 2
    (position,) = _mark_of(reader, source).positions.values()
    assert str(position) == numbers[-1]
    assert position > 1 << 64


def test_a_reader_made_from_a_mark_goes_on_behind_it(kinesis: Kinesis) -> None:
    stream = kinesis.stream(2)
    kinesis.put(stream, _numbers(0, 50))
    source = _source(kinesis.uri(stream), max_rows=10)
    first = _reader(source)
    found = _read(first, 30)
    mark = _mark_of(first, source)
    kinesis.put(stream, _numbers(50, 10))
    _read(first, 30)  # what is read behind the mark is read again
    found += _read(_reader(source, mark), 30)
    assert _payloads(found) == list(range(60))
    open_logs.close_all()
    kinesis.put(stream, _numbers(60, 5))
    assert _payloads(_read(_reader(source, _mark_of(first, source)), 5)) == list(range(60, 65))


def _next_millisecond() -> int:
    """Wait for it: records are told apart by theirs."""
    last = time.time_ns() // 1_000_000
    while (now := time.time_ns() // 1_000_000) == last:
        pass
    return now


def test_latest_begins_now_and_a_time_begins_there(kinesis: Kinesis) -> None:
    stream = kinesis.stream(2)
    kinesis.put(stream, _numbers(0, 10))
    between = _next_millisecond()
    kinesis.put(stream, _numbers(10, 10))
    _next_millisecond()
    latest = _reader(_source(kinesis.uri(stream, "start=latest")))
    while latest.advance():
        pass
    kinesis.put(stream, _numbers(20, 10))
    # A shard that comes is read from its beginning.
    kinesis.split(stream, kinesis.open_shards(stream)[0])
    kinesis.put(stream, _numbers(30, 10))
    assert _payloads(_read(latest, 20)) == list(range(20, 40))
    at = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(between / 1000))}.{between % 1000:03}Z"
    timed = _reader(_source(kinesis.uri(stream, f"start=timestamp:{at}")))
    assert _payloads(_read(timed, 30)) == list(range(10, 40))


def test_old_shards_are_read_to_their_ends_before_those_that_they_were_split_or_merged_into(kinesis: Kinesis) -> None:
    stream = kinesis.stream(2)
    kinesis.put(stream, _numbers(0, 200))
    kinesis.split(stream, "shardId-000000000000")
    kinesis.put(stream, _numbers(200, 200))
    kinesis.merge(stream, "shardId-000000000003", "shardId-000000000001")
    kinesis.put(stream, _numbers(400, 200))
    source = _source(kinesis.uri(stream), max_rows=30)
    first = _reader(source)
    found = _read(first, 250, exactly=False)
    open_logs.close_all()
    second = _reader(source, _mark_of(first, source))
    found += _read(second, 600 - len(found))
    assert _payloads(found) == list(range(600))
    shards = [shard for shard, _ in found]
    for parent, child in ((0, 2), (0, 3), (3, 4), (1, 4)):
        assert max(place for place, each in enumerate(shards) if each == parent) < shards.index(child)
    # Later too, while it is read; and what has ended holds nothing.
    kinesis.split(stream, "shardId-000000000004")
    kinesis.put(stream, _numbers(600, 100))
    assert _payloads(_read(second, 100)) == list(range(600, 700))
    until = time.monotonic() + 20
    while sum(not state.finished for state in second.get_checkpoint_mark().states.values()) != 3:
        assert time.monotonic() < until
        second.advance()


def test_readers_share_the_shards_also_those_that_come(kinesis: Kinesis) -> None:
    stream = kinesis.stream(5)
    kinesis.put(stream, _numbers(0, 100))
    source = _source(kinesis.uri(stream, "readers=3"))
    readers = [_reader(each) for each in source.split(20)]
    assert len(readers) == 3
    found: list[tuple[int, str]] = []

    def until_there_are(wanted: int) -> None:
        end = time.monotonic() + 20
        while len(found) < wanted:
            for reader in readers:
                if reader.advance():
                    batch = reader.get_current()
                    found.extend((0, payload.decode()) for payload in batch.column("__payload").to_pylist())
            assert time.monotonic() < end, len(found)

    until_there_are(100)
    for shard in kinesis.open_shards(stream):
        kinesis.split(stream, shard)
    kinesis.put(stream, _numbers(100, 100))
    until_there_are(200)
    assert _payloads(found) == list(range(200))


def test_an_iterator_that_expired_is_opened_again_and_what_retention_took_is_told(tmp_path: Path) -> None:
    with kinesalite.running(tmp_path) as emulator:
        kinesis = Kinesis(emulator.url, emulator)
        stream = kinesis.stream()
        kinesis.put(stream, _numbers(0, 10))
        source = _source(kinesis.uri(stream, f"endpoint={emulator.url}"), max_rows=10)
        reader = _reader(source)
        assert len(_read(reader, 10)) == 10
        mark = _mark_of(reader, source)
        kinesis.put(stream, _numbers(10, 10))
        emulator.pass_retention()
        kinesis.put(stream, _numbers(20, 10))
        found = _read(reader, 11)  # the iterator is 25 hours old
        assert found[0] == (0, "kinesis.records_lost")
        assert _payloads(found[1:]) == list(range(20, 30))
        open_logs.close_all()
        (position,) = mark.positions.values()
        again = _reader(source, mark)
        while not again.advance():
            pass
        (failures,) = again.get_current().column(FAILURES).to_pylist()
        assert f"behind sequence number {position} and before 4" in failures[0]["message"]
        assert len(_read(again, 10)) == 10
        failing = _source(kinesis.uri(stream, f"lost=fail&endpoint={emulator.url}"))
        with pytest.raises(UsageError, match="are past retention"):
            _read(_reader(failing, mark), 1)


def test_a_stream_made_anew_is_read_from_its_beginning_and_told(kinesis: Kinesis) -> None:
    made = time.time()
    stream = kinesis.stream()
    kinesis.put(stream, _numbers(0, 5))
    source = _source(kinesis.uri(stream))
    reader = _reader(source)
    _read(reader, 5)
    mark = _mark_of(reader, source)
    open_logs.close_all()
    while time.time() < made + 5:  # sequence numbers tell streams of a name apart by the second they were made in
        time.sleep(0.1)
    kinesis.client.delete_stream(StreamName=stream)
    gone = kinesis.client.get_waiter("stream_not_exists")
    gone.wait(StreamName=stream, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    kinesis.stream(1, stream)
    kinesis.put(stream, _numbers(5, 5))
    found = _read(_reader(source, mark), 6)
    assert found[0][1] == "kinesis.records_lost"
    assert _payloads(found[1:]) == list(range(5, 10))


def test_records_that_hold_several_are_dead_letters(kinesis: Kinesis) -> None:
    stream = kinesis.stream()
    kinesis.put(stream, [b"1", b"\xf3\x89\x9a\xc2\x0a\x01a", b""])
    assert [payload for _, payload in _read(_reader(_source(kinesis.uri(stream))), 3)] == [
        "1",
        "kinesis.aggregated",
        "",
    ]


def _failing(monkeypatch: pytest.MonkeyPatch, operation: str, errors: list[Exception]) -> None:
    """Clients whose calls of an operation fail so before they get through: the emulator is never busy."""
    real: Callable[[Connection], Any] = Connection.client

    def client(self: Connection) -> Any:
        made = real(self)
        call = getattr(made, operation)

        def fail(**asked: Any) -> Any:
            if errors:
                raise errors.pop(0)
            return call(**asked)

        setattr(made, operation, fail)
        return made

    monkeypatch.setattr(Connection, "client", client)


def _error(code: str, status: int = 400) -> ClientError:
    said = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "GetRecords")


def test_what_is_throttled_or_not_there_is_asked_again(kinesis: Kinesis, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = kinesis.stream()
    kinesis.put(stream, _numbers(0, 5))
    errors: list[Exception] = [
        _error("ProvisionedThroughputExceededException"),
        _error("InternalFailure", 500),
        EndpointConnectionError(endpoint_url="http://x"),
        _error("ExpiredIteratorException"),
    ]
    _failing(monkeypatch, "get_records", errors)
    assert _payloads(_read(_reader(_source(kinesis.uri(stream))), 5)) == list(range(5))
    assert not errors


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("AccessDeniedException", "no access to 'stream-"),
        ("UnrecognizedClientException", "no access to 'stream-"),
        ("ExpiredTokenException", "no access to 'stream-"),
    ],
)
def test_access_that_is_not_given_is_told_at_once(
    kinesis: Kinesis, monkeypatch: pytest.MonkeyPatch, code: str, problem: str
) -> None:
    _failing(monkeypatch, "list_shards", [_error(code)])
    with pytest.raises(UsageError, match=problem):
        _reader(_source(kinesis.uri(kinesis.stream()))).advance()


def test_a_stream_that_there_is_not_is_told_with_the_nearest_that_there_is(kinesis: Kinesis) -> None:
    kinesis.stream(1, "visitors")
    with pytest.raises(UsageError, match=r"there is no stream 'vistors'. Did you mean 'visitors'\?"):
        _reader(_source(kinesis.uri("vistors"))).advance()


def test_no_credentials_are_told(kinesis: Kinesis, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UsageError, match="Unable to locate credentials"):
        _reader(_source(kinesis.uri("any"))).advance()


def test_a_service_that_does_not_answer_fails_in_the_time_of_the_policy() -> None:
    connection = Connection("eu-central-1", "s", "http://127.0.0.1:1")
    log = KinesisAddress(connection, retries=Retries(attempts=3, first_wait=0.01)).open(0, 1)
    with pytest.raises(EndpointConnectionError):
        log.partitions()
    log.close()


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("kinesis://orders", "names no region: write kinesis://eu-central-1/STREAM"),
        ("kinesis://eu-central-1/", "names no stream"),
        ("kinesis://eu-central-1/a/b", "names no stream"),
        ("kinesis://eu-central-1/a?start=earliest", "?start: 'earliest': is not one of trim_horizon, latest"),
        ("kinesis://eu-central-1/a?start=timestamp:2024-01-01", "has no offset from UTC"),
    ],
)
def test_a_uri_that_can_not_be_read_says_what_is_wrong(uri: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        _source(uri)
    assert problem in str(caught.value)
