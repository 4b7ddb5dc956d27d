"""Batches through `decode` and DecodeBatches."""

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines.columnar.failures import failed, failures_column
from beam_pipelines.columnar.provenance import raw_batch
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode import CsvDialect, decode
from beam_pipelines.decode.transform import DecodeBatches
from beam_pipelines.errors import UsageError

ORDERS = Contract("orders", (Field("id", pa.int64(), required=True), Field("note", pa.string())))


def raw(payloads, **metadata):
    return raw_batch(
        pa.array(payloads, pa.binary()),
        "orders",
        pa.array(range(len(payloads)), pa.int64()),
        {name.replace("_", ".").encode(): value for name, value in metadata.items()},
    )


JSON = raw([b'{"id":1}', b"oops"], record_format=b"jsonl")
CSV = raw([b"x;1", b"2"], record_format=b"csv", csv_header=b"note;id")


def test_a_decoded_batch_has_the_columns_of_the_contract_and_of_the_raw_batch():
    decoded = decode(JSON, ORDERS)
    assert decoded.schema.names == ["id", "note", "__payload", "__source", "__position", "__failures"]
    assert decoded.select(JSON.schema.names).equals(JSON)
    assert decoded.column("__failures").is_valid().to_pylist() == [False, True]
    assert all(field.nullable for field in decoded.schema)
    assert "__failures" not in decode(JSON.slice(0, 1), ORDERS).schema.names


def test_the_format_named_goes_before_the_one_that_the_batch_says():
    assert decode(CSV, ORDERS, dialect=CsvDialect(delimiter=";")).column("id").to_pylist() == [1, None]
    assert decode(raw([b'{"id":1}'], record_format=b"csv"), ORDERS, "jsonl").column("id").to_pylist() == [1]


def test_failures_that_a_raw_batch_brings_stay_first():
    torn = failures_column([failed(np.array([1]), "file.truncated", None, "ends early")], 2)
    for batch in (JSON.append_column("__failures", torn), JSON.append_column("__failures", torn).slice(1)):
        failures = decode(batch, ORDERS).column("__failures").to_pylist()
        assert [failure["rule"] for failure in failures[-1]] == ["file.truncated", "json.malformed"]
        assert failures[:-1] == [None] * (batch.num_rows - 1)


def test_wrong_use_says_what_to_do():
    with pytest.raises(UsageError, match="name one of jsonl, csv"):
        decode(raw([b"{}"]), ORDERS)
    with pytest.raises(UsageError, match=r"'json' is not a record format\. Did you mean 'jsonl'"):
        decode(JSON, ORDERS, "json")
    with pytest.raises(UsageError, match="'yaml' is not a record format"):
        decode(raw([b"{}"], record_format=b"yaml"), ORDERS)
    with pytest.raises(UsageError, match="has no column '__record'"):
        decode(raw([b"{}"], record_format=b"columns"), ORDERS)
    with pytest.raises(UsageError, match="need a layout: say --fixed_width"):
        decode(raw([b"1"]), ORDERS, "fixed")
    with pytest.raises(UsageError, match="no column '__payload'"):
        decode(pa.record_batch({"id": [1]}), ORDERS)
    with pytest.raises(UsageError, match=r"'cvs' is not a record format\. Did you mean 'csv'"):
        DecodeBatches(ORDERS, "cvs")


def test_batches_of_several_formats_are_decoded_in_one_pipeline():
    with beam.Pipeline("FnApiRunner") as pipeline:
        decoded = pipeline | beam.Create([JSON, CSV]) | DecodeBatches(ORDERS, dialect=CsvDialect(delimiter=";"))
        rows = decoded | beam.FlatMap(
            lambda batch: zip(
                batch.column("id").to_pylist(),
                batch.column("note").to_pylist(),
                [row and row[0]["rule"] for row in batch.column("__failures").to_pylist()],
                strict=True,
            )
        )
        assert_that(
            rows,
            equal_to([(1, None, None), (None, None, "json.malformed"), (1, "x", None), (None, None, "csv.ragged")]),
        )
