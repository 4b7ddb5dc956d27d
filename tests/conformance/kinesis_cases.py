"""Kinesis' source and sink, with an emulator that the test process has started."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import apache_beam as beam
import pyarrow as pa

import beam_pipelines as bp
from tests.conformance import kept
from tests.conformance.case import Case, Outputs
from tests.servers.kinesis import Kinesis

EMULATOR = "CONFORMANCE_KINESIS"
"""Environment variable of the process that submits: where the emulator is."""


def _uri(kinesis: Kinesis, stream: str, options: str) -> str:
    return kinesis.uri(stream, f"{options}&endpoint={kinesis.url}")


def _read(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    kinesis = Kinesis(os.environ[EMULATOR])
    stream = kinesis.stream(2, f"read-{uuid.uuid4()}")
    kinesis.put(stream, [b"1", b"2"], ["a", "b"])
    kinesis.split(stream, "shardId-000000000000")
    kinesis.put(stream, [b"3", b"\xf3\x89\x9a\xc2"], ["c", "d"])
    read = pipeline | "ReadFromKinesis" >> bp.ReadFromKinesis(_uri(kinesis, stream, "bounded=true"))
    told = ["__payload", "__key"]
    rules = read.dead_letters | "ReadFromKinesis: rules" >> beam.Map(
        lambda letters: letters.select(["rule", "payload"])
    )
    return {
        "good": read.good | "ReadFromKinesis: told" >> beam.Map(lambda batch: batch.select(told)),
        "letters": rules,
        "ledger": read.ledger,
    }


def _read_expected(folder: Path) -> dict[str, list[str]]:
    rows = [{"__payload": value, "__key": key} for value, key in ((b"1", b"a"), (b"2", b"b"), (b"3", b"c"))]
    counts = [
        (("", "ReadFromKinesis", "read", ""), 4),
        (("", "ReadFromKinesis", "dead_lettered", "kinesis.aggregated"), 1),
    ]
    letters = [{"rule": "kinesis.aggregated", "payload": b"\xf3\x89\x9a\xc2"}]
    return {"good": kept.texts(rows), "letters": kept.texts(letters), "ledger": kept.texts(counts)}


def _write(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    kinesis = Kinesis(os.environ[EMULATOR])
    stream = kinesis.stream(2, f"written-{uuid.uuid4()}")
    (folder / "stream").write_text(f"{kinesis.url} {stream}")
    batch = pa.record_batch({"id": [1, 2, 3], "name": ["a", "x" * 600, None]})
    made = pipeline | "WriteToKinesis: input" >> beam.Create([batch]).with_output_types(pa.RecordBatch)
    uri = _uri(kinesis, stream, "key=id&max_record_bytes=500")
    written = made | "WriteToKinesis" >> bp.WriteToKinesis(uri, batch.schema)
    rules = written.dead_letters | "WriteToKinesis: rules" >> beam.Map(lambda letters: letters.select(["rule"]))
    return {"letters": rules, "ledger": written.ledger}


def _write_found(folder: Path) -> dict[str, list[str]]:
    url, stream = (folder / "stream").read_text().split()
    # A bundle that was tried again may have written a record twice, with one id.
    records = {(record["PartitionKey"], record["Data"]) for record in Kinesis(url).read(stream)}
    kept_ones = {name: kept.read(folder, f"WriteToKinesis.{name}") for name in ("letters", "ledger")}
    return {"records": kept.texts(list(records)), **kept_ones}


def _write_expected(folder: Path) -> dict[str, list[str]]:
    ids = {"1": "6b86b273ff34fce19d6b804eff5a3f57", "3": "4e07408562bedb8b60ce05c1decfe3ad"}  # sha256 of the key
    rows = [("1", '{"id":1,"name":"a",'), ("3", '{"id":3,"name":null,')]
    counts = [
        (("rows", "WriteToKinesis", "written", ""), 2),
        (("rows", "WriteToKinesis", "dead_lettered", "kinesis.refused"), 1),
    ]
    return {
        "records": kept.texts([(key, f'{text}"beam-pipelines-id":"{ids[key]}"}}'.encode()) for key, text in rows]),
        "letters": kept.texts([{"rule": "kinesis.refused"}]),
        "ledger": kept.texts(counts),
    }


CASES = (
    Case("ReadFromKinesis", ("ReadFromKinesis",), _read, _read_expected, needs="servers"),
    Case("WriteToKinesis", ("WriteToKinesis",), _write, _write_expected, _write_found, needs="servers"),
)
