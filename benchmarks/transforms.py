"""What changing and joining rows costs: CPU time a row, and bytes that a remembered or indexed key takes.

    .venv/bin/python -m benchmarks.transforms [ROWS]

Rows (262,144 unless said otherwise) come in batches of 16,384. Measured are the kernels in one process, without
Beam; the best of three runs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from beam_pipelines.columnar.batches import MAX_BATCH_ROWS
from beam_pipelines.columnar.changes import Changed
from beam_pipelines.join.join import AsOf, Join
from beam_pipelines.transform.deduplicate import keep_one
from beam_pipelines.transform.derive import Derivation
from beam_pipelines.transform.explode import Explosion
from beam_pipelines.transform.filter import Filter
from beam_pipelines.transform.seen_keys import unseen
from beam_pipelines.transform.unpivot import Unpivoting

ROWS = 1 << 18
TABLE_ROWS = (16, 3_000, 1_000_000)


def sales(rows: int) -> pa.Table:
    """Rows that are the same each time."""
    draw = np.random.default_rng(1)
    keys = draw.integers(0, 1_000_000, rows)
    cents = pa.array(draw.integers(0, 100_000, rows))
    tags = pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * rows + 1, 2), pa.int32()), pa.array(np.arange(2 * rows)))
    return pa.table(
        {
            "id": draw.permutation(rows),
            "price": cents.cast(pa.decimal128(19, 0)).cast(pa.decimal128(21, 2)).cast(pa.decimal128(10, 2)),
            "quantity": draw.integers(1, 10, rows),
            "x": draw.random(rows),
            "word": pa.array([f"word-{key % 500}" for key in keys]),
            "code": pa.array([str(key) for key in keys]),
            "key": keys,
            "at": pa.array(draw.integers(0, 86_400_000_000, rows), pa.timestamp("us", "UTC")),
            "tags": tags,
        }
    )


def table(rows: int) -> pa.RecordBatch:
    """A table of so many keys, of those that rows look for as far as it goes."""
    keys = np.arange(rows) * (1_000_000 // rows)
    return pa.record_batch(
        {
            "key": keys,
            "at": pa.array(keys * 1_000, pa.timestamp("us", "UTC")),
            "name": pa.array([f"name {key}" for key in keys]),
        }
    )


def told(name: str, run: Callable[[], Any], rows: int, note: str = "") -> None:
    """Print what a run costs a row: the best of three, in CPU time."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    print(f"{name:<58}{best / rows * 1e9:>9.0f} ns{note and f'   {note}'}", flush=True)


def through(change: Callable[[pa.RecordBatch], Changed], batches: Sequence[pa.RecordBatch]) -> Callable[[], None]:
    """Run a change over all batches."""

    def run() -> None:
        for batch in batches:
            for _ in change(batch).good:
                pass

    return run


def joins(batches: Sequence[pa.RecordBatch]) -> Iterator[tuple[str, Callable[[], None], str]]:
    """Lookups in tables of several sizes."""
    schema = batches[0].schema
    for size in TABLE_ROWS:
        rows = table(size)
        for as_of in (None, AsOf("at")):
            join = Join.of(schema, rows.schema, "key", take="name", as_of=as_of)
            prepared = join.prepared(rows)

            def run(join: Join = join, prepared: Any = prepared) -> None:
                for batch in batches:
                    for changed in join(batch, prepared):
                        _ = list(changed.good)

            kind = "as-of join" if as_of else "join"
            yield f"{kind} with {size:,} rows", run, f"index {prepared.index_bytes / size:.0f} B a row of the table"


def main() -> None:
    """Measure, and print a line for each."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    data = sales(rows)
    batches = [piece for piece in data.to_batches(MAX_BATCH_ROWS) if piece.num_rows]
    schema = data.schema
    for where in ("price * quantity > 100", "word = 'word-7'", "word LIKE '%7%' AND x > 0.5"):
        told(f"where {where}", through(Filter.of(schema, where), batches), rows)
    for sql in (
        "quantity + 1", "price * quantity", "x * 2.5e0 + quantity", "CASE WHEN x > 0.5 THEN price ELSE 0 END",
        "upper(word)", "split_part(word, '-', 2)", "regexp_extract(word, '[0-9]+')", "CAST(code AS BIGINT)",
        "date_trunc('hour', at)",
    ):  # fmt: skip
        told(f"derive {sql}", through(Derivation.of(schema, {"made": sql}), batches), rows)
    bad = pa.array(["x"] * MAX_BATCH_ROWS)
    place = schema.get_field_index("code")
    spoilt = [batch.set_column(place, "code", bad.slice(0, batch.num_rows)) for batch in batches[:1]]
    cast = Derivation.of(schema, {"made": "CAST(code AS BIGINT)"})
    told("derive CAST(code AS BIGINT), of which no row can be one", through(cast, spoilt), spoilt[0].num_rows)
    told("explode two elements, a row that comes out", through(Explosion.of(schema, "tags"), batches), 2 * rows)
    unpivot = Unpivoting.of(schema, ["quantity", "x"])
    told("unpivot two columns, a row that comes out", through(unpivot, batches), 2 * rows)
    for name, run, note in joins(batches):
        told(name, run, rows, note)
    whole = data.combine_chunks().to_batches()[0]
    told("deduplicate by an integer", lambda: keep_one(whole, ["id"], "at"), rows)
    seen = [unseen(whole, ["id"], pa.array(np.arange(rows)), []).keys]
    small = whole.slice(0, 512)
    until = pa.array(np.arange(512))
    note = f"state {seen[0].nbytes / rows:.0f} B a key"
    told(f"512 of a stream's rows, {rows:,} keys remembered", lambda: unseen(small, ["id"], until, seen), 512, note)


if __name__ == "__main__":
    main()
