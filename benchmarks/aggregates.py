"""What each aggregate function costs: CPU time a row, and bytes that a group's state takes.

    .venv/bin/python -m benchmarks.aggregates [ROWS]

Rows (262,144 unless said otherwise) come in batches of 16,384, in 1,000 groups, or in one. Measured is what
AggregateBatches does in one process: partials of each batch, merged in the end, and the results; less what
`count(*)` takes, which is told too. The best of three runs.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pyarrow as pa

from beam_pipelines.aggregate.kernels import finish, merge_partials, partial_aggregate
from beam_pipelines.aggregate.plan import AggregationPlan
from beam_pipelines.aggregate.planning import plan_aggregation
from beam_pipelines.columnar.batches import MAX_BATCH_ROWS

GROUPS = 1_000
ROWS = 1 << 18

CALLS = (
    "count(*)", "count(x)", "count_if(x > 1)", "sum(price)", "sum(x)", "avg(x)", "min(x)", "max(word)",
    "bool_and(x > 1)", "first(x)", "max_by(word, x)", "stddev(x)", "corr(x, price)", "median(price)", "median(x)",
    "quantile_disc(word, 0.9)", "approx_quantile(x, 0.9)", "mode(word)", "top_k(word, 10)", "approx_top_k(word, 10)",
    "approx_top_k(id, 10)", "count(distinct word)", "count(distinct id)", "approx_count_distinct(word)",
    "approx_count_distinct(id)", "funnel('30m', word < 'w2', word < 'w5', word < 'w8')",
)  # fmt: skip
"""`price` has 1,000 values, `word` 500 with a few that are frequent, `x` and `id` a new one in each row."""


def sales(rows: int) -> pa.Table:
    """Rows that are the same each time."""
    draw = np.random.default_rng(1)
    words = np.minimum(draw.geometric(0.02, rows), 500)
    return pa.table(
        {
            "k": pa.array(draw.integers(0, GROUPS, rows)),
            "x": draw.lognormal(3, 1, rows),
            "price": pa.array(draw.integers(0, 1_000, rows)).cast(pa.decimal128(19, 0)).cast(pa.decimal128(21, 2)),
            "word": pa.array([f"w{word}" for word in words.tolist()]),
            "id": pa.array(draw.permutation(rows)),
            "at": pa.array(np.arange(rows) * 1_000_000).cast(pa.timestamp("us", "UTC")),
        }
    )


def measure(batches: list[pa.RecordBatch], plan: AggregationPlan) -> tuple[float, int]:
    """CPU seconds for all rows, and bytes of the merged partial."""
    started = time.process_time()
    merged = merge_partials([partial_aggregate(batch, plan) for batch in batches], plan)
    finish(merged, plan)
    return time.process_time() - started, merged.nbytes


def main() -> None:
    """Print a table in Markdown."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    table = sales(rows)
    batches = table.to_batches(max_chunksize=MAX_BATCH_ROWS)
    print(f"| function | ns a row, {GROUPS:,} groups | ns a row, one group | bytes a group, {GROUPS:,} groups |")
    print("| --- | ---: | ---: | ---: |")
    base: dict[tuple[str, ...], tuple[float, int]] = {}
    for call in CALLS:
        shown = []
        for keys in (("k",), ()):
            plan = plan_aggregation(table.schema, f"{call} as y", group_by=keys, event_time="at")
            seconds, size = min(measure(batches, plan) for _ in range(3))
            less = base.setdefault(keys, (seconds, size)) if call != CALLS[0] else (0.0, 0)
            base.setdefault(keys, (seconds, size))
            groups = GROUPS if keys else 1
            shown.append(((seconds - less[0]) / rows * 1e9, (size - less[1]) / groups))
        (many, bytes_each), (one, _) = shown
        print(f"| `{call}` | {many:.0f} | {one:.0f} | {bytes_each:.0f} |", flush=True)


if __name__ == "__main__":
    main()
