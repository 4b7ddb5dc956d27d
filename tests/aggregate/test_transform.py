import datetime as dt
import pickle
import random
from collections.abc import Callable, Iterable
from decimal import Decimal

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines import ledger
from beam_pipelines.aggregate import collecting, combine
from beam_pipelines.aggregate.combine import MergePartials
from beam_pipelines.aggregate.kernels import aggregate, finish, merge_partials, partial_aggregate
from beam_pipelines.aggregate.planning import plan_aggregation
from beam_pipelines.aggregate.transform import AggregateBatches
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.errors import ExpressionError, UsageError

SCHEMA = pa.schema(
    [
        ("country", pa.string()),
        ("price", pa.decimal128(10, 2)),
        ("weight", pa.float64()),
        ("user", pa.int64()),
        ("at", pa.timestamp("us", "UTC")),
    ]
)
TEXT = (
    "count(*) as n, sum(price) as revenue, avg(weight) as mean, max(country) as last, count(distinct user) as users, "
    "sum(price) / count(*) as ratio"
)
GROUPS = ["country"]
START = dt.datetime(1969, 12, 31, 22, tzinfo=dt.UTC)


def events(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Rows of four hours around 1970, in no order."""
    draw = random.Random(seed)
    return [
        {
            "country": draw.choice(["DE", "FR", None, "ÖS"]),
            "price": draw.choice([None, Decimal(draw.randrange(-99_999, 99_999)) / 100]),
            "weight": draw.choice([None, draw.uniform(-1e9, 1e9), 0.1]),
            "user": draw.choice([None, draw.randrange(5)]),
            "at": START + dt.timedelta(microseconds=draw.randrange(4 * 3600 * 10**6)),
        }
        for _ in range(count)
    ]


def in_batches(rows: list[dict[str, object]], seed: int) -> list[TimestampedValue]:
    """Batches of random sizes, empty ones too, each stamped with its earliest row."""
    draw = random.Random(seed)
    found = []
    while rows:
        size = draw.choice([0, 1, 3, 20])
        piece, rows = rows[:size], rows[size:]
        batch = pa.RecordBatch.from_pylist(piece, SCHEMA)
        found.append(TimestampedValue(batch, min((row["at"] for row in piece), default=START).timestamp()))
    return found


def ordered(batches: Iterable[pa.RecordBatch]) -> list[dict[str, object]]:
    found = [row for batch in batches for row in batch.to_pylist()]
    return sorted(found, key=lambda row: [str(row.get(name)) for name in ("window_start", "country", "user")])


def same_rows(expected: pa.RecordBatch) -> Callable[[list[pa.RecordBatch]], None]:
    """A check that batches hold these rows, to the last bit, in any order."""
    wanted = ordered([expected])

    def check(batches: list[pa.RecordBatch]) -> None:
        assert ordered(batches) == wanted, (ordered(batches), wanted)
        assert all(batch.schema == expected.schema for batch in batches)

    return check


def expected(rows: list[dict[str, object]], shards: int | None = None, **options: object) -> pa.RecordBatch:
    return aggregate(pa.Table.from_pylist(rows, SCHEMA), TEXT, **options)  # type: ignore[arg-type]


CASES = {
    "hours": {"group_by": GROUPS, "window": "fixed:1h", "event_time": "at"},
    "hours in shards": {"group_by": GROUPS, "window": "fixed:1h", "event_time": "at", "shards": 3},
    "minutes": {"group_by": GROUPS, "window": "fixed:7m", "event_time": "at"},
    "no groups": {"window": "fixed:1d", "event_time": "at"},
    "no window": {"group_by": GROUPS},
    "one shard": {"group_by": GROUPS, "shards": 1},
    "neither": {},
    "no window, but a time": {"group_by": ["user"], "event_time": "at"},
}


def test_random_batches_are_aggregated_as_one_table():
    rows = events(300)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        batches = pipeline | beam.Create(in_batches(rows, 1)) | beam.Map(lambda batch: batch)
        for name, options in CASES.items():
            panes, _, entries = batches | name >> AggregateBatches(SCHEMA, TEXT, **options)
            assert_that(panes, same_rows(expected(rows, **options)), f"panes {name}")
            total = [(("aggregates", "AggregateBatches", ledger.AGGREGATED, ""), 300)]
            assert_that(entries | f"sum {name}" >> beam.CombinePerKey(sum), equal_to(total), f"ledger {name}")


def test_many_groups_leave_before_the_bundle_ends(monkeypatch):
    monkeypatch.setattr(collecting, "MAX_HELD_GROUPS", 20)
    rows = events(400, seed=3)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        batches = pipeline | beam.Create(in_batches(rows, 4))
        for window in ("none", "fixed:1m"):
            options = {"group_by": GROUPS, "window": window, "event_time": "at"}
            panes = (batches | window >> AggregateBatches(SCHEMA, TEXT, **options)).panes
            assert_that(panes, same_rows(expected(rows, **options)), f"check {window}")


def test_rows_at_a_boundary_are_in_the_window_that_starts_there():
    hour = dt.datetime(2020, 1, 1, 1, tzinfo=dt.UTC)
    micro = dt.timedelta(microseconds=1)
    rows = [{"country": "DE", "at": at} for at in (hour - micro, hour, hour + dt.timedelta(hours=1) - micro)]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        panes = (
            pipeline
            | beam.Create(in_batches(rows, 1))
            | AggregateBatches(SCHEMA, "count(*) as n", window="fixed:1h", event_time="at")
        ).panes
        found = panes | beam.FlatMap(pa.RecordBatch.to_pylist)
        before = {"window_start": hour - dt.timedelta(hours=1), "window_end": hour, "n": 1, "__rows": 1}
        after = {"window_start": hour, "window_end": hour + dt.timedelta(hours=1), "n": 2, "__rows": 2}
        assert_that(found, equal_to([before, after]))


def test_batches_may_come_in_windows_of_their_own():
    rows = events(100)
    options = CASES["hours"]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        panes, _, entries = (
            pipeline
            | beam.Create(in_batches(rows, 1))
            | beam.WindowInto(FixedWindows(60))
            | AggregateBatches(SCHEMA, TEXT, **options)
        )
        assert_that(panes, same_rows(expected(rows, **options)))
        counted = entries | beam.Values() | beam.CombineGlobally(sum)
        assert_that(counted, equal_to([100]), "ledger")


def test_other_columns_may_ride_along():
    rows = events(20)
    extra = [
        batch.value.append_column("__payload", pa.array([b"x"] * batch.value.num_rows)) for batch in in_batches(rows, 1)
    ]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        panes = (pipeline | beam.Create(extra) | AggregateBatches(SCHEMA, TEXT, group_by=GROUPS)).panes
        assert_that(panes, same_rows(expected(rows, group_by=GROUPS)))


def test_no_batches_are_no_panes():
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        nothing = pipeline | beam.Create([], reshuffle=False).with_output_types(pa.RecordBatch)
        panes, _, entries = nothing | AggregateBatches(SCHEMA, TEXT, group_by=GROUPS)
        assert_that(panes, equal_to([]))
        assert_that(entries, equal_to([]), "ledger")


def test_an_overflow_fails_the_run_and_names_the_sum():
    batches = [pa.record_batch({"i": [2**63 - 1]})] * 2
    with pytest.raises(Exception, match=r"SUM\(i\): a sum is beyond int64"):  # noqa: SIM117
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            pipeline | beam.Create(batches) | AggregateBatches(batches[0].schema, "sum(i)")


def test_a_null_event_time_fails_the_run_and_says_what_to_do():
    batch = pa.RecordBatch.from_pylist([{"country": "DE"}], SCHEMA)
    with pytest.raises(Exception, match="event time 'at' is null in 1 of 1 rows"):  # noqa: SIM117
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            pipeline | beam.Create([batch]) | AggregateBatches(SCHEMA, TEXT, window="fixed:1h", event_time="at")


def test_mistakes_are_told_where_the_pipeline_is_built():
    with pytest.raises(ExpressionError, match="no column 'prise'"):
        AggregateBatches(SCHEMA, "sum(prise)")
    with pytest.raises(UsageError, match="shards: 0 is less than 1"):
        AggregateBatches(SCHEMA, "count(*)", shards=0)


def test_the_output_schema_is_what_sinks_write():
    stage = AggregateBatches(SCHEMA, "count(*) as n", group_by=GROUPS, window="fixed:1h", event_time="at")
    assert stage.output_schema.names == ["window_start", "window_end", "country", "n"]
    assert stage.output_schema.field("window_start").type == pa.timestamp("us", "UTC")


PLAN = plan_aggregation(SCHEMA, TEXT, **CASES["hours"])


def results(partial: pa.RecordBatch) -> list[dict[str, object]]:
    return ordered([finish(merge_partials([partial, partial.slice(0, 0)], PLAN), PLAN)])


@settings(max_examples=25)
@given(st.integers(0, 120), st.integers(0, 10**6), st.booleans())
def test_the_combine_fn_is_the_same_along_three_paths(count, seed, bounded):
    """Merged, merged and compacted, and one after the other; small bounds make it merge on the way."""
    rows = events(count, seed)
    partials = [partial_aggregate(each.value, PLAN) for each in in_batches(rows, seed)]
    merging = MergePartials(PLAN)
    before = combine.MAX_BATCH_ROWS, combine.MIN_MERGED_ROWS
    if bounded:
        combine.MAX_BATCH_ROWS, combine.MIN_MERGED_ROWS = 4, 2
    try:
        single = [merging.add_input(merging.create_accumulator(), partial) for partial in partials]
        merged = merging.merge_accumulators([list(accumulator) for accumulator in single])
        compacted = merging.merge_accumulators([merging.compact(list(accumulator)) for accumulator in single])
        one_by_one = merging.create_accumulator()
        for partial in partials:
            one_by_one = merging.add_input(one_by_one, partial)
        paths = [
            results(merging.extract_output(accumulator))
            for accumulator in (merged, merging.compact(compacted), one_by_one)
        ]
    finally:
        combine.MAX_BATCH_ROWS, combine.MIN_MERGED_ROWS = before
    wanted = ordered([expected(rows, **CASES["hours"])])
    assert paths == [wanted] * 3


def test_accumulators_are_coded_as_lists_of_batches():
    merging = MergePartials(PLAN)
    coder = merging.get_accumulator_coder()
    partials = [partial_aggregate(each.value, PLAN) for each in in_batches(events(60), 2)]
    accumulator = merging.compact(partials)
    for value in (accumulator, merging.create_accumulator(), partials):
        decoded = coder.decode(coder.encode(value))
        assert decoded == value
        assert all(part.schema.equals(PLAN.partial_schema, check_metadata=True) for part in decoded)
    assert results(merging.extract_output(coder.decode(coder.encode(accumulator)))) == results(accumulator[0])
    one = RecordBatchCoder().encode(accumulator[0])
    assert len(coder.encode(accumulator)) < len(one) + 32


def test_the_transform_and_its_combine_fn_pickle():
    for made in (AggregateBatches(SCHEMA, TEXT, group_by=GROUPS), MergePartials(PLAN)):
        assert pickle.loads(pickle.dumps(made)) is not None
