from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.columnar.coder import CODER_VERSION, RecordBatchCoder
from beam_pipelines.columnar.provenance import FAILURES, raw_batch
from beam_pipelines.dead_letters import failure, failures_column

FIXTURE = Path(__file__).parent / "data" / "record_batch.v1.bin"
"""What release 0.1 writes for `sample()`: `FIXTURE.write_bytes(RecordBatchCoder().encode(sample()))`, run once."""


def sample() -> pa.RecordBatch:
    """A batch with every type that travels between stages."""
    raw = raw_batch(
        pa.array([b"{1}", b"\xff\x00"]), "gs://bucket/ä.jsonl", pa.array([0, 2**40]), {b"csv.header": b"a,b"}
    )
    columns = {
        "text": pa.array(["ä", None]),
        "flag": pa.array([True, None]),
        "small": pa.array([-1, None], pa.int32()),
        "whole": pa.array([2**62, None], pa.int64()),
        "number": pa.array([-0.5, None], pa.float64()),
        "money": pa.array([Decimal("12345678901234567890.0001"), None], pa.decimal128(38, 4)),
        "day": pa.array([dt.date(2024, 2, 29), None]),
        "at": pa.array([dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc), None], pa.timestamp("us", "UTC")),
        **{name: raw.column(name) for name in raw.schema.names},
        "__attributes": pa.array([[("k", b"v")], None], pa.map_(pa.string(), pa.binary())),
        FAILURES: failures_column([None, [failure("type", "whole", "x", "no number")]]),
    }
    return pa.RecordBatch.from_pydict(columns, metadata=raw.schema.metadata)


def test_a_batch_of_every_type_comes_back_the_same() -> None:
    coder = RecordBatchCoder()
    decoded = coder.decode(coder.encode(sample()))
    assert decoded.equals(sample(), check_metadata=True)


def test_what_the_first_release_wrote_is_still_read() -> None:
    """A running pipeline is updated with elements of the old release in flight."""
    assert RecordBatchCoder().decode(FIXTURE.read_bytes()).equals(sample(), check_metadata=True)


def test_a_slice_costs_a_slice() -> None:
    rows = 10_000
    batch = pa.record_batch(
        {
            "text": pa.array([f"value {i}" for i in range(rows)]),
            "n": pa.array(range(rows), pa.int64()),
            "flag": pa.array([i % 3 == 0 for i in range(rows)]),
            "list": pa.array([[i] for i in range(rows)]),
        }
    )
    coder = RecordBatchCoder()
    whole = len(coder.encode(batch))
    slices = [batch.slice(start, 100) for start in range(0, rows, 100)]
    coded = [coder.encode(piece) for piece in slices]
    assert sum(map(len, coded)) < 1.6 * whole
    assert max(map(len, coded)) < whole / 50
    assert [coder.decode(piece) for piece in coded] == slices


@given(st.integers(0, 30), st.integers(0, 30))
def test_any_slice_comes_back(start: int, length: int) -> None:
    batch = pa.record_batch({"n": pa.array([None, *range(29)]), "s": pa.array(["ä" * i for i in range(30)])})
    coder = RecordBatchCoder()
    assert coder.decode(coder.encode(batch.slice(start, length))) == batch.slice(start, length)


def test_decoded_buffers_are_aligned() -> None:
    """Arrow's group-by and join print a warning for each buffer that is not."""
    coder = RecordBatchCoder()
    decoded = coder.decode(coder.encode(sample()))
    buffers = [buffer for column in decoded.columns for buffer in column.buffers() if buffer is not None]
    assert {buffer.address % 8 for buffer in buffers} == {0}


def test_the_last_byte_is_the_version_and_an_unknown_one_is_refused() -> None:
    coder = RecordBatchCoder()
    coded = coder.encode(sample())
    assert coded[-1] == CODER_VERSION == 1
    with pytest.raises(ValueError, match="coded with version 2, this package reads 1"):
        coder.decode(coded[:-1] + b"\x02")


def test_beam_codes_batches_with_it() -> None:
    assert beam.coders.registry.get_coder(pa.RecordBatch) == RecordBatchCoder()
    assert not RecordBatchCoder().is_deterministic()
