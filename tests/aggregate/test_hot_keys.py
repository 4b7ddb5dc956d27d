from __future__ import annotations

import random
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines.aggregate import combine
from beam_pipelines.aggregate.collecting import CollectPartials, without_salt
from beam_pipelines.aggregate.combine import MergePartials
from beam_pipelines.aggregate.kernels import aggregate, finish, merge_partials, partial_aggregate
from beam_pipelines.aggregate.planning import plan_aggregation
from beam_pipelines.aggregate.transform import AggregateBatches
from beam_pipelines.errors import UsageError

SCHEMA = pa.schema([("k", pa.string()), ("x", pa.float64()), ("at", pa.timestamp("us", "UTC"))])
TEXT = "count(*) as n, stddev(x) as sd, median(x) as middle, count(distinct x) as different, top_k(x, 3) as top"
WINDOWS = ("none", "fixed:1h", "sliding:1h/20m", "session:10m", "calendar:day@Europe/Berlin")


def half_in_one_key(count: int) -> list[dict[str, Any]]:
    draw = random.Random(7)
    return [
        {
            "k": "hot" if place % 2 else f"cold {draw.randrange(50)}",
            "x": draw.choice([None, float(draw.randrange(300)), draw.gauss(0, 1e9)]),
            "at": 1_700_000_000_000_000 + draw.randrange(3 * 3600) * 10**6,
        }
        for place in range(count)
    ]


def texts(batch: pa.RecordBatch) -> list[str]:
    return [repr(row) for row in batch.to_pylist()]


def test_half_of_all_rows_in_one_key_are_the_same_when_it_is_split() -> None:
    table = pa.Table.from_pylist(half_in_one_key(4000), SCHEMA)
    batches = table.to_batches(max_chunksize=100)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        # One batch a bundle, so that there is something to merge.
        made = pipeline | beam.Create(batches) | beam.Reshuffle()
        for window in WINDOWS:
            options: dict[str, Any] = {"group_by": ["k"], "window": window, "event_time": "at"}
            panes = (made | window >> AggregateBatches(SCHEMA, TEXT, hot_key_fanout=5, **options)).panes
            wanted = texts(aggregate(table, TEXT, **options))
            assert_that(panes | f"texts {window}" >> beam.FlatMap(texts), equal_to(wanted), f"check {window}")


def test_a_hot_key_is_merged_in_parts() -> None:
    plan = plan_aggregation(SCHEMA, TEXT, group_by=["k"])
    batch = pa.RecordBatch.from_pylist([row for row in half_in_one_key(20) if row["k"] == "hot"], SCHEMA)
    collect = CollectPartials(plan, 1, in_keys=True, counts=False, stage="AggregateBatches", fanout=5)
    keys = set()
    for _ in range(100):
        collect.start_bundle()
        list(collect.process(batch, Timestamp(0)))
        keys |= {element.value[0] for element in collect.finish_bundle()}
    assert len(keys) == 5
    assert len({without_salt((key, batch))[0] for key in keys}) == 1


def test_large_states_of_one_key_are_merged_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not only joined, as small ones are: the parts of a hot key would be as large as what came."""
    plan = plan_aggregation(SCHEMA, "median(x) as middle")
    draw = random.Random(3)
    made = [{"x": float(draw.randrange(20_000))} for _ in range(200_000)]
    batches = [pa.RecordBatch.from_pylist(made[start : start + 10_000], SCHEMA) for start in range(0, 200_000, 10_000)]
    partials = [partial_aggregate(batch, plan) for batch in batches]
    fn = MergePartials(plan)
    compacted = fn.compact(list(partials))
    assert [partial.num_rows for partial in compacted] == [1]
    assert compacted[0].nbytes < sum(partial.nbytes for partial in partials) / 5

    monkeypatch.setattr(combine, "MAX_BATCH_BYTES", 1 << 20)
    held = fn.create_accumulator()
    for partial in partials:
        held = fn.add_input(held, partial)
        assert sum(each.nbytes for each in held[1:]) < 2 << 20
    assert finish(merge_partials(held, plan), plan) == finish(merge_partials(partials, plan), plan)


def test_what_is_no_number_of_parts_is_refused_and_so_is_a_stream() -> None:
    for wrong in (0, 100_000):
        with pytest.raises(UsageError, match=f"hot_key_fanout: {wrong} is not from 1 to 1000"):
            AggregateBatches(SCHEMA, "count(*)", hot_key_fanout=wrong)
    stream = beam.Pipeline() | test_stream.TestStream()
    with pytest.raises(UsageError, match="leave it out for unbounded input"):
        stream | AggregateBatches(SCHEMA, "count(*)", hot_key_fanout=2)
