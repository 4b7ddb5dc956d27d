"""Joins compared with DuckDB, and what becomes of bad tables, hot keys and rows that find nothing."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import duckdb
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines import Contract, Field, Mask
from beam_pipelines.columnar.provenance import PAYLOAD
from beam_pipelines.errors import ExpressionError, UsageError
from beam_pipelines.join import index
from beam_pipelines.join.index import KeyIndex
from beam_pipelines.join.join import AsOf, Join
from beam_pipelines.join.transform import JoinBatches, JoinTable

TIME = pa.timestamp("us", "UTC")
LEFT = pa.schema([("n", pa.int32()), ("s", pa.string()), ("at", TIME), ("row", pa.int64())])
RIGHT = pa.schema([("m", pa.int64()), ("s", pa.string()), ("time", TIME), ("x", pa.float64())])


def times(day: int) -> dt.datetime:
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=day)


KEYED = {"s": st.none() | st.sampled_from(["a", "b", ""])}
LEFTS = st.lists(
    st.fixed_dictionaries(
        {"n": st.none() | st.integers(0, 2), **KEYED, "at": st.none() | st.integers(0, 9).map(times)}
    ),
    max_size=12,
)
RIGHTS = st.lists(
    st.fixed_dictionaries(
        {"m": st.none() | st.integers(0, 2), **KEYED, "time": st.none() | st.integers(0, 9).map(times)}
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        yield connection


def tables(
    database: duckdb.DuckDBPyConnection, lefts: list[dict[str, Any]], rights: list[dict[str, Any]]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    left = pa.RecordBatch.from_pylist([{**row, "row": place} for place, row in enumerate(lefts)], LEFT)
    right = pa.RecordBatch.from_pylist([{**row, "x": float(place)} for place, row in enumerate(rights)], RIGHT)
    database.register("l", pa.table(left))
    database.register("r", pa.table(right))
    return left, right


def joined(join: Join, left: pa.RecordBatch, right: pa.RecordBatch) -> tuple[list[tuple[Any, ...]], Counter[str], int]:
    """Rows, counts by outcome, refused rows; of a batch that is a slice of another."""
    padded = pa.concat_batches([left.slice(0, 1), left]).slice(left.slice(0, 1).num_rows)
    rows: list[tuple[Any, ...]] = []
    counts: Counter[str] = Counter()
    refused = 0
    for changed in join(padded, join.prepared(right)):
        rows += [tuple(row.values()) for batch in changed.good for row in batch.to_pylist()]
        for counted in changed.counted:
            counts[counted.outcome] += counted.rows
        refused += 0 if changed.refused is None else changed.refused.num_rows
    return rows, counts, refused


@settings(max_examples=60, deadline=None)
@given(lefts=LEFTS, rights=RIGHTS, how=st.sampled_from(["left", "inner", "required", "references"]))
def test_every_pair_of_equal_keys_is_found(
    database: duckdb.DuckDBPyConnection, lefts: list[dict[str, Any]], rights: list[dict[str, Any]], how: Any
) -> None:
    left, right = tables(database, lefts, rights)
    join = Join.of(LEFT, RIGHT, [("n", "m"), "s"], how=how, take="x", many=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "MAX_PAIRS", 3)
        rows, counts, refused = joined(join, left, right)
    kind = "LEFT" if how in ("left", "references") else "INNER"
    refers = "WHERE r.x IS NOT NULL OR l.n IS NULL OR l.s IS NULL" if how == "references" else ""
    theirs = database.execute(f"SELECT l.row, r.x FROM l {kind} JOIN r ON l.n = r.m AND l.s = r.s {refers}").fetchall()
    assert Counter(row[3:] for row in rows) == Counter(theirs)
    lost = left.num_rows - len({row[3] for row in rows if row[4] is not None})
    assert counts["unmatched"] == lost
    assert left.num_rows + counts["added"] == len(rows) + counts["filtered"] + refused


@settings(max_examples=60, deadline=None)
@given(lefts=LEFTS, rights=RIGHTS, tolerance=st.none() | st.integers(0, 4))
def test_as_of_finds_the_latest_row_that_is_not_after(
    database: duckdb.DuckDBPyConnection,
    lefts: list[dict[str, Any]],
    rights: list[dict[str, Any]],
    tolerance: int | None,
) -> None:
    unique = list({(row["s"], row["time"]): row for row in rights}.values())  # DuckDB takes any of equal times
    left, right = tables(database, lefts, unique)
    as_of = AsOf("at", "time", None if tolerance is None else dt.timedelta(hours=tolerance))
    join = Join.of(LEFT, RIGHT, "s", take="x", as_of=as_of)
    rows, counts, _ = joined(join, left, right)
    theirs = database.execute(
        "SELECT l.*, r.x, r.time FROM l ASOF LEFT JOIN r ON l.s = r.s AND l.at >= r.time ORDER BY row"
    ).fetchall()
    limit = dt.timedelta.max if tolerance is None else dt.timedelta(hours=tolerance)
    expected = [(*row[:4], row[4] if row[5] is not None and row[2] - row[5] <= limit else None) for row in theirs]
    assert rows == expected
    assert counts["unmatched"] == sum(row[4] is None for row in expected)


@settings(max_examples=30, deadline=None)
@given(lefts=LEFTS, rights=RIGHTS)
def test_keys_whose_hashes_are_equal_are_told_apart(
    database: duckdb.DuckDBPyConnection, lefts: list[dict[str, Any]], rights: list[dict[str, Any]]
) -> None:
    left, right = tables(database, lefts, rights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "hash_rows", lambda batch, _columns: np.zeros(batch.num_rows, np.uint64))
        rows, _, _ = joined(Join.of(LEFT, RIGHT, "s", take="x", many=True, how="inner"), left, right)
    theirs = database.execute("SELECT l.row, r.x FROM l JOIN r ON l.s = r.s").fetchall()
    assert Counter(row[3:] for row in rows) == Counter(theirs)


ORDERS = Contract(
    "orders",
    (
        Field("id", pa.int64(), primary_key_position=1),
        Field("buyer", pa.string(), classification="restricted", mask=Mask("pseudonym")),
        Field("at", TIME, required=True, event_time=True),
    ),
)
BUYERS = pa.schema([("buyer", pa.string()), ("name", pa.string()), ("level", pa.int64())])


def test_what_is_looked_up_by_a_masked_key_is_hidden_unless_a_contract_says_what_it_is() -> None:
    hidden = Join.of(ORDERS, BUYERS, "buyer").contract
    assert [(field.name, str(field.mask)) for field in hidden.fields[3:]] == [
        ("name", "pseudonym"),
        ("level", "redact"),
    ]
    assert hidden.primary_key == ("id",)
    shown = Join.of(ORDERS, BUYERS, "buyer", masks={"level": None}).contract
    assert not shown.field("level").sensitive
    table = Contract("buyers", (Field("buyer", pa.string()), Field("name", pa.string(), mask=Mask("redact")),
                                Field("level", pa.int64())))  # fmt: skip
    said = Join.of(ORDERS, table, "buyer").contract
    assert [(field.name, str(field.mask)) for field in said.fields[3:]] == [("name", "redact"), ("level", "None")]


def rows_of(batches: beam.PCollection[pa.RecordBatch], label: str) -> beam.PCollection[Any]:
    return batches | f"{label} rows" >> beam.FlatMap(lambda batch: [tuple(row.values()) for row in batch.to_pylist()])


def orders(buyers: list[str | None]) -> pa.RecordBatch:
    made = [{"id": place, "buyer": buyer, "at": times(place % 5)} for place, buyer in enumerate(buyers)]
    batch = pa.RecordBatch.from_pylist(made, ORDERS.schema)
    return batch.append_column(PAYLOAD, pa.array([str(place).encode() for place in range(len(buyers))]))


def test_a_foreign_key_that_is_nowhere_is_a_dead_letter_without_its_masked_value() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        table = pipeline | "Table" >> beam.Create(
            pa.table({"buyer": ["ada"], "name": ["Ada"], "level": [1]}).to_batches()
        )
        rows = pipeline | "Rows" >> beam.Create([orders(["ada", "eve", None])])
        join = JoinTable(ORDERS, table, BUYERS, "buyer", how="required", take="", name="buyers.csv")
        assert join.contract == ORDERS
        made = rows | join
        assert_that(rows_of(made.good, "good"), equal_to([(0, "ada", times(0), b"0")]), "good")
        letters = made.dead_letters | beam.FlatMap(
            lambda letters: [
                (row["payload"], row["rule"], row["field"], row["message"], row["failures"][0]["value"])
                for row in letters.to_pylist()
            ]
        )
        message = "buyers.csv has no row with this buyer"
        assert_that(letters, equal_to([
            (b"1", "join.unmatched", "buyer", message, "***"),
            (b"2", "join.unmatched", "buyer", message, None),
        ]), "letters")  # fmt: skip
        assert_that(made.ledger, equal_to([
            (("", "JoinTable", "unmatched", "buyers.csv"), 2),
            (("", "JoinTable", "dead_lettered", "join.unmatched"), 2),
        ]), "ledger")  # fmt: skip


def test_two_large_sides_meet_in_shards_and_every_row_is_accounted_for() -> None:
    # A hot key with half of all rows on the left, and several rows of it on the right.
    buyers = ["hot"] * 500 + [f"b{place % 100}" for place in range(500)]
    right = [("hot", f"h{place}", place) for place in range(3)] + [
        (f"b{place}", "n", place) for place in range(50, 150)
    ]
    lefts = [
        orders(buyers[start : start + 100]).set_column(0, "id", pa.array(range(start, start + 100)))
        for start in range(0, 1000, 100)
    ]
    rights = [pa.RecordBatch.from_pylist([dict(zip(BUYERS.names, row, strict=True))], BUYERS) for row in right]
    with duckdb.connect() as connection:
        connection.register("l", pa.Table.from_batches(lefts).select(["id", "buyer"]))
        connection.register("r", pa.Table.from_batches(rights))
        expected = connection.execute("SELECT id, buyer, name, level FROM l JOIN r USING (buyer)").fetchall()
    with beam.Pipeline("FnApiRunner") as pipeline:
        both = (pipeline | "Left" >> beam.Create(lefts), pipeline | "Right" >> beam.Create(rights))
        made = both | JoinBatches(ORDERS, BUYERS, "buyer", how="inner", shards=4, name="buyers")
        counts = made.ledger | "Sum" >> beam.CombinePerKey(sum)
        plain = made.good | beam.Map(lambda batch: batch.select(["id", "buyer", "name", "level"]))
        assert_that(rows_of(plain, "good"), equal_to(expected), "good")
        assert_that(counts, equal_to([
            (("", "JoinBatches", "added", ""), 1000),
            (("", "JoinBatches", "unmatched", "buyers"), 250),
            (("", "JoinBatches", "filtered", "join.unmatched"), 250),
            (("joined", "JoinBatches", "unmatched", "rows of buyers"), 50),
        ]), "counts")  # fmt: skip


def lookup(table: pa.RecordBatch, **options: Any) -> beam.Pipeline:
    pipeline = beam.Pipeline("FnApiRunner")
    side = pipeline | "Table" >> beam.Create([table])
    _ = pipeline | "Rows" >> beam.Create([orders(["ada"])]) | JoinTable(ORDERS, side, BUYERS, "buyer", **options)
    return pipeline


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ([], {}, "the table is empty: no row can find anything in it"),
        ([("ada", "A", 1), ("ada", "B", 2), ("bob", "C", 3), (None, "D", 4), (None, "E", 5)], {},
         r"the table has 1 rows whose buyer another row has already.*many=True"),
        ([("x" * 1000, "A", 1)], {"max_bytes": 1000}, "more than the 0 MiB that each worker may hold: .*JoinBatches"),
    ],
)  # fmt: skip
def test_a_table_that_can_t_be_looked_up_in_fails_the_run(
    table: list[tuple[Any, ...]], options: dict[str, Any], message: str
) -> None:
    rows = [dict(zip(BUYERS.names, row, strict=True)) for row in table]
    pipeline = lookup(pa.RecordBatch.from_pylist(rows, BUYERS), **options)
    with pytest.raises(UsageError, match=message):
        pipeline.run()


def test_a_table_of_other_columns_stops_the_job() -> None:
    pipeline = lookup(pa.record_batch({"buyers": ["ada"]}))
    with pytest.raises(ValueError, match=r"the batch has no column 'buyer'. Did you mean 'buyers'"):
        pipeline.run()


def test_a_shard_with_too_much_on_the_right_fails_and_says_what_to_do() -> None:
    right = pa.RecordBatch.from_pylist([{"buyer": "a", "name": "x" * 100, "level": 1}] * 20, BUYERS)
    pipeline = beam.Pipeline("FnApiRunner")
    both = (pipeline | "Left" >> beam.Create([orders(["a"])]), pipeline | "Right" >> beam.Create([right]))
    _ = both | JoinBatches(ORDERS, BUYERS, "buyer", max_bytes=1000)
    with pytest.raises(UsageError, match="of the right side: join with more shards"):
        pipeline.run()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Join.of(ORDERS, BUYERS, "byer"), UsageError, "no column 'byer' to join by. Did you mean"),
        (lambda: Join.of(ORDERS, BUYERS, [("buyer", "x")]), UsageError, "the table has no column 'x' to join by"),
        (lambda: Join.of(ORDERS, BUYERS, [("id", "buyer")]), UsageError, "'id' is int64 and 'buyer' string: keys"),
        (lambda: Join.of(ORDERS, BUYERS, "buyer", how="full"), UsageError, "there is no join 'full'"),
        (lambda: Join.of(ORDERS, BUYERS, "buyer", take="nam"), ExpressionError, "from the table: no column 'nam'"),
        (lambda: Join.of(ORDERS, BUYERS, "buyer", take="name AS at"), UsageError, "have a column 'at': take it under"),
        (lambda: Join.of(ORDERS, BUYERS, "buyer", as_of=AsOf("at", "level")), UsageError, "'level' is int64"),
        (lambda: Join.of(ORDERS, BUYERS, []), UsageError, "a join needs key columns"),
        (lambda: JoinBatches(ORDERS, BUYERS, "buyer", shards=0), UsageError, "in 1 shard or more"),
    ],
)  # fmt: skip
def test_what_doesn_t_fit_is_refused_before_anything_runs(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_an_index_takes_24_bytes_a_row_and_of_times_48() -> None:
    table = pa.record_batch({"k": pa.array(range(10_000)), "t": pa.array(range(10_000), TIME)})
    assert KeyIndex(table, ["k"]).nbytes <= 240_100
    assert index.TimeIndex(table, ["k"], "t").nbytes <= 480_100
