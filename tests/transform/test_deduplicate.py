from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any

import apache_beam as beam
import pandas as pd
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, SOURCE_TYPE
from beam_pipelines.columnar.shards import without_payload
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.dead_letters import failure, failures_column
from beam_pipelines.errors import UsageError
from beam_pipelines.transform import deduplicate as kernel
from beam_pipelines.transform.deduplicate import deduplicate, keep_one
from beam_pipelines.transform.deduplicate_transform import DeduplicateBatches
from beam_pipelines.transform.seen_keys import unseen

TIMESTAMP = pa.timestamp("us", "UTC")
KEYS = ("shop", "id")
CONTRACT = Contract(
    "orders",
    (
        Field("id", pa.int64(), required=True, primary_key_position=2),
        Field("shop", pa.string(), required=True, primary_key_position=1),
        Field("at", TIMESTAMP, event_time=True),
        Field("price", pa.decimal128(10, 2)),
    ),
)
ROW = st.tuples(
    st.integers(0, 3),
    st.sampled_from(["a", "b", ""]),
    st.none() | st.integers(0, 3),
    st.sampled_from(["x.jsonl", "y.jsonl"]),
    st.integers(0, 2),
)
ROWS = st.lists(ROW, unique_by=lambda row: row[3:] + row[:3], min_size=1, max_size=30)


def batch_of(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    ids, shops, times, sources, positions = zip(*rows, strict=True)
    return pa.record_batch(
        {
            "id": pa.array(ids, pa.int64()),
            "shop": pa.array(shops),
            "at": pa.array(times, TIMESTAMP),
            "price": pa.array([Decimal(place) for place in range(len(rows))], pa.decimal128(10, 2)),
            PAYLOAD: pa.array([b"{}"] * len(rows)),
            "__source": pa.array(sources).cast(SOURCE_TYPE),
            "__position": pa.array(positions, pa.int64()),
        },
        metadata={"csv.header": sources[0]},
    )


def with_pandas(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows to keep, found another way."""
    frame = pd.DataFrame(without_payload(batch).to_pylist())
    order = ["at", "__source", "__position"]
    frame["at"] = pd.to_datetime(frame["at"], utc=True)
    kept = frame.sort_values(order, na_position="last", kind="stable").drop_duplicates(list(KEYS), keep="first")
    return [{**row, "at": None if row["at"] is pd.NaT else row["at"]} for row in kept.to_dict("records")]


@given(ROWS, st.data())
def test_the_rows_that_are_kept_are_those_that_pandas_keeps(rows: list[Any], data: st.DataObject) -> None:
    batch = without_payload(batch_of(rows))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(rows)), max_size=4)) | {0, len(rows)})
    pieces = data.draw(st.permutations([batch.slice(a, b - a) for a, b in itertools.pairwise(cuts)]))
    distinct = deduplicate(pieces, KEYS, "at")
    assert distinct.duplicates == len(rows) - len({row[:2] for row in rows})
    by_key = {(row["shop"], row["id"]): row for row in with_pandas(batch_of(rows))}
    assert {(row["shop"], row["id"]): row for row in distinct.rows.to_pylist()} == by_key


@given(ROWS.map(lambda rows: list({row[3:]: row for row in rows}.values())))
def test_places_that_are_unique_decide_every_tie(rows: list[Any]) -> None:
    batch = batch_of(rows)
    assert keep_one(without_payload(batch), KEYS, "at").to_pylist() == with_pandas(batch)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.text(max_size=2))), st.randoms())
def test_without_provenance_the_order_of_arrival_still_does_not_matter(rows: list[Any], random: Any) -> None:
    def kept(rows: list[Any]) -> list[Any]:
        ids, times, notes = zip(*rows, strict=True) if rows else ((), (), ())
        columns = {
            "id": pa.array(ids, pa.int64()),
            "at": pa.array(times, TIMESTAMP),
            "note": pa.array(notes, pa.string()),
        }
        return keep_one(pa.record_batch(columns), ["id"], "at").to_pylist()

    shuffled = random.sample(rows, len(rows))
    assert kept(rows) == kept(shuffled)


def test_nulls_in_a_key_are_one_key() -> None:
    batch = pa.record_batch({"k": pa.array([None, 1, None, 0], pa.int64()), "at": [1, 2, 3, 4]})
    assert keep_one(batch, ["k"], "at").to_pydict() == {"k": [None, 1, 0], "at": [1, 2, 4]}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([True, False, True]),
        pa.array([Decimal("1.0"), Decimal("2.0"), Decimal("1.0")]),
        pa.array([dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.date(2024, 1, 1)]),
        pa.array([0, 1, 0], TIMESTAMP),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.array([b"a", b"b", b"a"]),
        pa.array([1, 2, 1], pa.int32()),
    ],
    ids=lambda column: str(column.type),
)
def test_keys_may_be_of_any_flat_type(column: pa.Array) -> None:
    batch = pa.record_batch({"k": column, "list": pa.array([[1], [2], [1]])})
    assert keep_one(batch, ["k"]).num_rows == 2


def test_only_distinct_rows_are_held_and_too_many_of_them_fail_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "COMPACT_BYTES", 1 << 12)
    piece = pa.record_batch({"id": pa.array(range(1000), pa.int64())})
    distinct = deduplicate((piece for _ in range(100)), ["id"], max_bytes=8000)
    assert (distinct.rows.num_rows, distinct.duplicates) == (1000, 99_000)
    other = pa.record_batch({"id": pa.array(range(1000, 2000), pa.int64())})
    with pytest.raises(UsageError, match="with more shards, at least twice as many"):
        deduplicate([piece, other], ["id"], max_bytes=8000)


def test_rows_that_were_not_validated_are_refused() -> None:
    failed = pa.record_batch({"id": [1], FAILURES: failures_column([[failure("type", "id", "x", "wrong")]])})
    with pytest.raises(ValueError, match="put ValidateBatches before"):
        without_payload(failed)
    assert without_payload(failed.set_column(1, FAILURES, failures_column([None]))).schema.names == ["id"]


def test_a_pipeline_keeps_the_first_of_each_key_and_counts_the_others() -> None:
    rows = [(i % 500, "ab"[i % 2], (i * 7919) % 100_000, f"{i % 3}.jsonl", i) for i in range(5000)]
    batches = [batch_of(rows[start : start + 700]) for start in range(0, 5000, 700)]
    expected = with_pandas(batch_of(rows))

    class Stamped(beam.DoFn):
        def process(self, batch: pa.RecordBatch, timestamp: Any = beam.DoFn.TimestampParam) -> Any:
            times = batch.column("at").cast(pa.int64()).to_pylist()
            yield (PAYLOAD in batch.schema.names, times == sorted(times), timestamp.micros == times[0])

    with beam.Pipeline("FnApiRunner") as pipeline:
        distinct = pipeline | beam.Create(batches) | DeduplicateBatches(CONTRACT, shards=4)
        positions = distinct.good | "Rows" >> beam.FlatMap(lambda batch: batch.column("__position").to_pylist())
        assert_that(positions, equal_to([row["__position"] for row in expected]), label="rows")
        assert_that(distinct.good | beam.ParDo(Stamped()), equal_to([(False, True, True)] * 4), label="order")
        counted = distinct.ledger | beam.CombinePerKey(sum)
        assert_that(counted, equal_to([(("", "DeduplicateBatches", "duplicate", ""), 4500)]), label="ledger")


def test_an_empty_input_has_no_rows_and_no_duplicates() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        empty = pipeline | beam.Create([batch_of([(1, "a", 1, "x", 1)]).slice(0, 0)]) | DeduplicateBatches(CONTRACT)
        assert_that(empty.good | beam.Map(len), equal_to([]), label="good")
        assert_that(empty.ledger, equal_to([]), label="ledger")


def test_a_contract_without_a_key_and_input_that_does_not_end_are_refused() -> None:
    with pytest.raises(UsageError, match="contract 'c' has no primary key"):
        DeduplicateBatches(Contract("c", (Field("id", pa.int64()),)))
    with pytest.raises(UsageError, match="1 shard or more, not 0"):
        DeduplicateBatches(CONTRACT, shards=0)
    pipeline = beam.Pipeline("FnApiRunner")
    stream = pipeline | Stream()
    with pytest.raises(UsageError, match="a stream has no end"):
        _ = stream | DeduplicateBatches(CONTRACT)
    windowed = pipeline | beam.Create([batch_of([(1, "a", 1, "x", 1)])]) | beam.WindowInto(FixedWindows(1))
    with pytest.raises(UsageError, match="deduplicate before windowing"):
        _ = windowed | "Windowed" >> DeduplicateBatches(CONTRACT)


@given(rows=ROWS)
def test_the_last_row_of_each_key_by_event_time_and_place(rows: list[tuple[Any, ...]]) -> None:
    batch = without_payload(batch_of(rows))
    frame = pd.DataFrame(batch.to_pylist())
    places = ["__source", "__position"]
    timed = frame[frame["at"].notna()].sort_values(["at", *places]).drop_duplicates(list(KEYS), keep="last")
    untimed = frame[frame["at"].isna()].sort_values(places).drop_duplicates(list(KEYS), keep="last")
    kept = pd.concat([timed, untimed]).drop_duplicates(list(KEYS), keep="first")
    found = keep_one(batch, KEYS, "at", "last")
    assert set(found.column("price").to_pylist()) == set(kept["price"])
    assert found.num_rows == len(kept)


@given(batches=st.lists(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("ab")), max_size=6), max_size=6))
def test_keys_seen_once_are_not_fresh_again(batches: list[list[tuple[int, str]]]) -> None:
    known: set[tuple[int, str]] = set()
    seen: list[pa.RecordBatch] = []
    for rows in batches:
        made = [{"id": id, "shop": shop, "n": n} for n, (id, shop) in enumerate(rows)]
        schema = pa.schema([("id", pa.int64()), ("shop", pa.string()), ("n", pa.int64())])
        news = unseen(pa.RecordBatch.from_pylist(made, schema), KEYS, pa.array(range(len(rows))), seen)
        expected = [row["n"] for row in made if (key := (row["id"], row["shop"])) not in known and not known.add(key)]
        assert news.fresh.column("n").to_pylist() == expected
        seen.append(news.keys)


def _stream(elements: list[Any]) -> Stream:
    stream = Stream(coder=RecordBatchCoder())
    for element in elements:
        stream = (
            stream.advance_watermark_to(element)
            if isinstance(element, int)
            else stream.add_elements([TimestampedValue(element, element.column("at")[0].as_py().timestamp())])
        )
    return stream.advance_watermark_to_infinity()


def test_a_stream_forgets_a_key_when_its_time_is_over() -> None:
    def batch(*rows: tuple[int, int]) -> pa.RecordBatch:
        made = [{"id": id, "shop": "x", "at": dt.datetime.fromtimestamp(at, dt.UTC), "price": None} for id, at in rows]
        return pa.RecordBatch.from_pylist(made, CONTRACT.schema)

    stream = _stream([
        batch((1, 100), (2, 100), (1, 101)), batch((2, 104), (3, 104)), 105, batch((1, 106)),
        140, batch((1, 141), (3, 141)), batch((3, 141)),
    ])  # fmt: skip
    options = PipelineOptions(streaming=True)
    with beam.Pipeline("BundleBasedDirectRunner", options=options) as pipeline:
        unique = DeduplicateBatches(CONTRACT, shards=2, time_to_live=dt.timedelta(seconds=30))
        distinct = pipeline | stream | beam.Map(lambda each: each).with_output_types(pa.RecordBatch) | unique
        rows = distinct.good | beam.FlatMap(lambda each: list(zip(each["id"].to_pylist(), each["at"].to_pylist())))  # noqa: B905
        times = rows | beam.Map(lambda row: (row[0], int(row[1].timestamp())))
        assert_that(times, equal_to([(1, 100), (2, 100), (3, 104), (1, 141), (3, 141)]), "rows")
        duplicate = (("", "DeduplicateBatches", "duplicate", ""), 1)
        assert_that(distinct.ledger, equal_to([duplicate] * 4), "duplicates")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": "newest"}, "keep takes first or last, not 'newest'"),
        ({"time_to_live": dt.timedelta()}, "keys are remembered for some time"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DeduplicateBatches(CONTRACT, **options)
