"""A payload that makes the decoder fail is a dead letter; the others of its batch, and its stream, go on."""

from __future__ import annotations

from collections import Counter

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines import Contract, DecodeBatches, Field, ValidateBatches
from beam_pipelines.columnar.provenance import PAYLOAD, RECORD_FORMAT, raw_batch
from beam_pipelines.decode import formats
from beam_pipelines.decode.poison import RULE, TRIES, decode_around_poison
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.streams.event_times import PayloadTimes

TIME = pa.timestamp("us", "UTC")
CONTRACT = Contract("events", (Field("n", pa.int64(), required=True), Field("at", TIME, event_time=True)))
POISON = b'{"n": 666, "at": "2024-01-01T00:00:00Z"}'


def _raw(rows: int, poison: int) -> pa.RecordBatch:
    payloads = [f'{{"n": {n}, "at": "2024-01-01T00:00:{n % 60:02}Z"}}'.encode() for n in range(rows)]
    payloads[poison] = POISON
    return raw_batch(pa.array(payloads), "topic", pa.array(range(rows)), {RECORD_FORMAT: b"jsonl"})


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Batches that the decoder was given, by their rows; it fails at the poison."""
    found: Counter[int] = Counter()
    right = formats.decode_json_lines

    def fails(payloads: pa.Array, contract: Contract) -> object:
        found[len(payloads)] += 1
        if POISON in payloads.to_pylist():
            raise KeyError("a defect of the decoder")
        return right(payloads, contract)

    monkeypatch.setattr(formats, "decode_json_lines", fails)
    return found


def test_all_but_the_poison_is_decoded_and_the_poison_has_its_payload_and_a_failure(tried: Counter[int]) -> None:
    with beam.Pipeline("BundleBasedDirectRunner") as pipeline:
        valid = pipeline | beam.Create([_raw(100, 41)]) | DecodeBatches(CONTRACT) | ValidateBatches(CONTRACT)
        numbers = valid.good | beam.FlatMap(lambda batch: batch.column("n").to_pylist())
        letters = valid.dead_letters | "Letters" >> beam.FlatMap(
            lambda batch: [(each["rule"], each["payload"], each["position"]) for each in batch.to_pylist()]
        )
        assert_that(numbers, equal_to([n for n in range(100) if n != 41]))
        assert_that(letters, equal_to([(RULE, POISON, 41)]), label="letters")
    assert tried[1] >= TRIES


def test_a_source_reads_event_times_around_the_poison(tried: Counter[int]) -> None:
    times = PayloadTimes(CONTRACT, "jsonl")(_raw(5, 2))
    assert [None if each is None else each.second for each in times.to_pylist()] == [0, 1, None, 3, 4]
    assert tried


def test_one_that_passes_at_another_try_is_no_poison() -> None:
    tries = iter([OSError("for now"), OSError("for now")])

    def passes(batch: pa.RecordBatch) -> pa.RecordBatch:
        for error in tries:
            raise error
        return batch

    (found,) = decode_around_poison(_raw(1, 0), passes)
    assert found.column(PAYLOAD).to_pylist() == [POISON]


def test_what_says_that_the_pipeline_is_wrong_is_no_poison() -> None:
    def refuses(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise UsageError("wrong")

    with pytest.raises(UsageError, match="wrong"):
        list(decode_around_poison(_raw(3, 0), refuses))
