"""ValidateBatches in pipelines."""

from collections import Counter
from datetime import date, datetime, timezone

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines.columnar.provenance import raw_batch
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode.transform import DecodeBatches
from beam_pipelines.ledger import Balance
from beam_pipelines.validate.transform import ValidateBatches

EVENTS = Contract(
    "events",
    (
        Field("at", pa.timestamp("us", "UTC"), event_time=True),
        Field("n", pa.int64(), maximum=5, on_failure="warn"),
        Field("m", pa.int64(), minimum=0, classification="pii"),
    ),
    version="1.2.3",
)
PAYLOADS = [
    b'{"at":"2024-01-01T00:00:09Z","n":1}',
    b'{"at":"2024-01-01T00:00:03Z","n":9}',
    b'{"at":"2024-01-01T00:00:01Z","m":-1}',
    b'{"n":1}',
    b"oops",
]


def raw(payloads):
    metadata = {b"record.format": b"jsonl"}
    return raw_batch(pa.array(payloads), "f", pa.array(range(len(payloads)), pa.int64()), metadata)


def seconds(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def test_rows_are_split_stamped_and_accounted_for():
    def totals(entries):
        return [(*key, rows) for key, rows in Balance.of(entries).totals.items()]

    with beam.Pipeline("FnApiRunner") as pipeline:
        batches = pipeline | beam.Create([raw(PAYLOADS), raw(PAYLOADS[2:])], reshuffle=False)
        good, letters, ledger = batches | DecodeBatches(EVENTS) | ValidateBatches(EVENTS)
        stamped = good | beam.Map(
            lambda batch, at=beam.DoFn.TimestampParam: (float(at), batch.column("__position").to_pylist())
        )
        assert_that(stamped, equal_to([(seconds("2024-01-01T00:00:03"), [0, 1])]), label="good")
        rows = letters | beam.FlatMap(lambda batch: batch.to_pylist())
        told = rows | beam.Map(
            lambda row: (row["rule"], row["field"], row["failures"][0]["value"], row["payload"], row["event_time"])
        )
        at = datetime(2024, 1, 1, 0, 0, 1, tzinfo=timezone.utc)
        expected = [
            ("minimum", "m", "***", PAYLOADS[2], at),
            ("required", "at", None, PAYLOADS[3], None),
            ("json.malformed", None, None, PAYLOADS[4], None),
        ]
        assert_that(told, equal_to(expected * 2), label="letters")
        made_by = rows | "MadeBy" >> beam.Map(lambda row: (row["transform"], row["contract"], row["contract_version"]))
        assert_that(made_by, equal_to([("ValidateBatches", "events", "1.2.3")] * 6), label="made by")
        sums = ledger | beam.combiners.ToList() | "Sum" >> beam.FlatMap(totals)
        assert_that(
            sums,
            equal_to(
                [
                    ("", "ValidateBatches", "dead_lettered", "json.malformed", 2),
                    ("", "ValidateBatches", "dead_lettered", "minimum", 2),
                    ("", "ValidateBatches", "dead_lettered", "required", 2),
                    ("", "ValidateBatches", "warned", "maximum", 1),
                ]
            ),
            label="ledger",
        )
    counters = pipeline.result.metrics().query()["counters"]
    found = Counter({counter.key.metric.name: counter.committed for counter in counters})
    assert found["dead_lettered:minimum"] == 2


def test_a_date_as_event_time_counts_from_its_midnight():
    days = Contract("days", (Field("day", pa.date32(), event_time=True), Field("n", pa.int64(), maximum=1)))
    batch = pa.record_batch(
        {"day": pa.array([date(2024, 1, 3), date(2024, 1, 2), date(2024, 1, 1)]), "n": pa.array([1, 1, 2])}
    )
    with beam.Pipeline("FnApiRunner") as pipeline:
        good, letters, _ = pipeline | beam.Create([batch]) | ValidateBatches(days)
        stamps = good | beam.Map(lambda batch, at=beam.DoFn.TimestampParam: float(at))
        assert_that(stamps, equal_to([seconds("2024-01-02")]), label="good")
        times = letters | beam.FlatMap(lambda batch: batch.column("event_time").to_pylist())
        assert_that(times, equal_to([datetime(2024, 1, 1, tzinfo=timezone.utc)]), label="letters")


def test_a_contract_that_is_violated_fails_the_run():
    strict = Contract("strict", (Field("n", pa.int64(), maximum=1, on_failure="fail"),))
    with pytest.raises(Exception, match="rule 'maximum'"), beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([pa.record_batch({"n": [2]})]) | ValidateBatches(strict)
