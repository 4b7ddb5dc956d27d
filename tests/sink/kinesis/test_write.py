"""WriteToKinesis: what is in the stream afterwards, what isn't and why, and what is written again after a failure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from beam_pipelines.columnar.provenance import raw_batch
from beam_pipelines.errors import UsageError
from beam_pipelines.kinesis.connection import Connection, Passing
from beam_pipelines.retries import Retries
from beam_pipelines.sink.kinesis.delivery import Delivery
from beam_pipelines.sink.kinesis.write import WriteToKinesis
from beam_pipelines.sink.records import RecordPlan, records_of
from tests.conformance import kept
from tests.servers.kinesis import REGION, Kinesis


@pytest.fixture(autouse=True)
def variables(kinesis: Kinesis, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in kinesis.variables.items():
        monkeypatch.setenv(name, value)


def _numbers(first: int, rows: int, size: int = 0) -> pa.RecordBatch:
    payloads = pa.array([b"%d" % n + b" " * size for n in range(first, first + rows)])
    batch = raw_batch(payloads, "in.jsonl", pa.array(range(first, first + rows), pa.int64()))
    return batch.append_column("n", pa.array(range(first, first + rows)))


def _run(uri: str, batches: list[pa.RecordBatch], folder: Path) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | beam.Create(batches).with_output_types(pa.RecordBatch)
        letters, ledger = made | WriteToKinesis(uri)
        told = letters | beam.Map(lambda batch: batch.select(["payload", "rule", "position", "message"]))
        kept.keep({"letters": told, "ledger": ledger}, folder)


def test_each_row_is_a_record_with_its_id_in_it(kinesis: Kinesis, tmp_path: Path) -> None:
    stream = kinesis.stream(3)
    _run(kinesis.uri(stream, "key=n"), [_numbers(0, 1200), _numbers(1200, 10)], tmp_path)
    found = [(record["PartitionKey"], json.loads(record["Data"])) for record in kinesis.read(stream)]
    assert sorted(found, key=lambda each: int(each[0])) == [
        (str(n), {"n": n, "beam-pipelines-id": f"in.jsonl/{n}"}) for n in range(1210)
    ]
    assert kept.read(tmp_path, "letters") == []
    assert kept.read(tmp_path, "ledger") == kept.texts([(("rows", "WriteToKinesis", "written", ""), 1210)])


def test_raw_payloads_are_written_as_they_are_under_their_ids(kinesis: Kinesis, tmp_path: Path) -> None:
    stream = kinesis.stream()
    _run(kinesis.uri(stream, "value=raw"), [_numbers(0, 3)], tmp_path)
    found = sorted((record["PartitionKey"], record["Data"]) for record in kinesis.read(stream))
    assert found == [(f"in.jsonl/{n}", b"%d" % n) for n in range(3)]


def test_only_the_rows_that_are_too_long_or_null_become_dead_letters(kinesis: Kinesis, tmp_path: Path) -> None:
    stream = kinesis.stream()
    id_bytes = len("in.jsonl/1")
    words = [b"x" * 10, b"x" * ((1 << 20) - id_bytes), b"x" * ((1 << 20) - id_bytes + 1), None, b""]
    batch = raw_batch(pa.array(words, pa.binary()), "in.jsonl", pa.array(range(5), pa.int64()))
    _run(kinesis.uri(stream, "value=raw"), [batch], tmp_path)
    assert sorted(len(record["Data"]) for record in kinesis.read(stream)) == [0, 10, (1 << 20) - id_bytes]
    letters = kept.read(tmp_path, "letters")
    assert len(letters) == 2
    assert any("'position': 3" in letter and "has no value" in letter for letter in letters)
    assert any("'position': 2" in letter and "1048577 bytes long" in letter for letter in letters)
    counts = [
        (("rows", "WriteToKinesis", "written", ""), 3),
        (("rows", "WriteToKinesis", "dead_lettered", "kinesis.refused"), 2),
    ]
    assert kept.read(tmp_path, "ledger") == kept.texts(counts)


def _partly_failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int, int], str | None]) -> list[int]:
    """Clients that take only some records of a request, as the service does when a shard is busy, by the number of the
    call and the place of the record. Returns how many records each call had."""
    real = Connection.client
    calls: list[int] = []

    def client(self: Connection) -> Any:
        made = real(self)
        put = made.put_records

        def put_records(StreamName: str, Records: list[dict[str, Any]]) -> Any:  # noqa: N803
            calls.append(len(Records))
            codes = [fails(len(calls), place) for place in range(len(Records))]
            taken = [record for record, code in zip(Records, codes, strict=True) if not code]
            put(StreamName=StreamName, Records=taken) if taken else None
            return {"Records": [{"ErrorCode": code, "ErrorMessage": "no"} if code else {} for code in codes]}

        made.put_records = put_records
        return made

    monkeypatch.setattr(Connection, "client", client)
    return calls


def test_records_that_are_not_taken_now_are_tried_again_and_only_those(
    kinesis: Kinesis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = kinesis.stream()
    codes = ["ProvisionedThroughputExceededException", "InternalFailure"]
    calls = _partly_failing(monkeypatch, lambda call, place: codes[place % 2] if call < 4 and place % 3 else None)
    _run(kinesis.uri(stream), [_numbers(0, 100)], tmp_path)
    assert calls == [100, 66, 44, 29]
    assert Counter(json.loads(record["Data"])["n"] for record in kinesis.read(stream)) == Counter(range(100))


def test_a_bundle_fails_when_records_are_never_taken_and_writes_them_again_under_their_ids(
    kinesis: Kinesis, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = kinesis.stream()
    busy = True
    _partly_failing(
        monkeypatch, lambda call, place: "ThrottlingException" if busy and (call > 1 or place == 1) else None
    )
    connection = Connection(REGION, stream)
    records = records_of(_numbers(0, 3), RecordPlan())
    delivery = Delivery(connection, "json", 1 << 20, Retries(attempts=3, first_wait=0.001))
    delivery.send(records)
    with pytest.raises(Passing, match="1 of 1 records were not taken now: ThrottlingException"):
        delivery.settle()
    delivery.close()
    busy = False
    again = Delivery(connection, "json", 1 << 20, Retries())
    again.send(records)
    assert again.settle() == {}
    again.close()
    ids = Counter(json.loads(record["Data"])["beam-pipelines-id"] for record in kinesis.read(stream))
    assert ids == {"in.jsonl/0": 2, "in.jsonl/1": 1, "in.jsonl/2": 2}


def test_requests_keep_within_what_the_service_takes(kinesis: Kinesis, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = kinesis.stream(2)
    calls = _partly_failing(monkeypatch, lambda *_: None)
    delivery = Delivery(Connection(REGION, stream), "raw", 1 << 20, Retries())
    delivery.send(records_of(_numbers(0, 12, size=1_000_000), RecordPlan("raw")))
    delivery.send(records_of(_numbers(12, 700), RecordPlan("raw")))
    assert delivery.settle() == {}
    delivery.close()
    assert sum(calls) == 712
    assert max(calls) <= 500
    assert calls[:2] == [5, 5]
    assert len(kinesis.read(stream)) == 712


def test_what_can_not_be_written_is_told(kinesis: Kinesis, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = Delivery(Connection(REGION, "no-such-stream"), "raw", 1 << 20, Retries())
    delivery.send(records_of(_numbers(0, 1), RecordPlan("raw")))
    with pytest.raises(UsageError, match="there is no stream 'no-such-stream'"):
        delivery.settle()
    denied = {"Error": {"Code": "AccessDeniedException", "Message": "not you"}}

    def refuse(**_: Any) -> None:
        raise ClientError(denied, "PutRecords")

    monkeypatch.setattr(delivery._client, "put_records", refuse)
    with pytest.raises(UsageError, match="no access to 'no-such-stream': not you"):
        delivery.settle()
    delivery.close()
