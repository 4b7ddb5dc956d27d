"""Partials outlive a release in the state of a stream: what was written once is read and merged for good."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from beam_pipelines.aggregate.kernels import finish, merge_partials, partial_aggregate
from beam_pipelines.aggregate.planning import plan_aggregation
from beam_pipelines.columnar.coder import RecordBatchCoder

DATA = Path(__file__).parent / "data"
"""A file is `RecordBatchCoder().encode(partial_aggregate(batch(), plan))`, as the commit of its name wrote it.

`first.bin` is of the first release's functions, by e1242be; `functions.bin` of those that came after, by
8d49be3 (with datasketches 5.2.0). They are never written again.
"""

SCHEMA = pa.schema(
    [("k", pa.string()), ("x", pa.float64()), ("d", pa.decimal128(10, 2)), ("at", pa.timestamp("us", "UTC"))]
)
FIRST = "count(*) as n, sum(x) as s, avg(d) as mean, min(k) as low, max(d) as high, count(distinct d) as different"
FUNCTIONS = (
    "variance(x) as var, corr(x, d) as r, median(x) as mid, approx_quantile(x, 0.5) as about, mode(d) as usual, "
    "approx_top_k(d, 2) as top, first(d) as first_d, max_by(d, x) as high, approx_count_distinct(d) as kinds, "
    "funnel('1h', d > 0, d > 2) as level, bool_or(x > 4) as some"
)


def batch() -> pa.RecordBatch:
    times = [dt.datetime(2024, 1, 1, hour, tzinfo=dt.UTC) for hour in (0, 1, 1, 2)]
    values = zip(["a", "b", "a", "a"], [0.1, 0.2, None, 1e16], ["1.50", "2.50", "1.50", None], times, strict=True)
    rows = [{"k": k, "x": x, "d": d and Decimal(d), "at": at} for k, x, d, at in values]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


@pytest.mark.parametrize(("name", "text"), [("first", FIRST), ("functions", FUNCTIONS)], ids=["first", "functions"])
@pytest.mark.parametrize("twice", [False, True], ids=["as it is", "merged with a new one"])
def test_partials_of_earlier_releases_are_read_and_merged(name: str, text: str, twice: bool) -> None:
    plan = plan_aggregation(SCHEMA, text, group_by=["k"], window="fixed:1d", event_time="at")
    written = RecordBatchCoder().decode((DATA / f"{name}.bin").read_bytes())
    now = partial_aggregate(batch(), plan)
    more = [now] if twice else []

    def results(partial: pa.RecordBatch) -> list[dict[str, Any]]:
        return finish(merge_partials([partial, *more], plan), plan).to_pylist()

    assert written.schema.equals(plan.partial_schema, check_metadata=True)
    assert results(written) == results(now)
