"""PostgreSQL as a source: every row once, in parts, as the contract's types, and only what is asked for."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines import Contract, DecodeBatches, Field, ReadFromTable, ValidateBatches
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.tables.conditions import parse_condition
from beam_pipelines.ingest.tables.known import table_of
from tests.servers.postgresql import PostgreSQL

ROWS = 5_000
EVERY = list(range(1, ROWS + 1))


@pytest.fixture(scope="module")
def orders(postgresql: PostgreSQL) -> str:
    """Rows with ids from 1, one a minute, on some hundred pages."""
    table = postgresql.table("id int, name text, price numeric(8,2), updated_at timestamptz, filler text")
    postgresql.do(
        f"INSERT INTO {table} SELECT n, 'n' || n % 7, n / 4.0, '2024-01-01Z'::timestamptz + n * interval '1 minute', "
        f"repeat('x', 200) FROM generate_series(1, {ROWS}) n",
        f"ANALYZE {table}",
    )
    return table


def _read(uri: str, columns: tuple[str, ...] | None = ("id",)) -> tuple[list[str], list[dict[str, Any]]]:
    table = table_of(uri, columns)
    table.check()
    parts = list(table.parts())
    return parts, [row for part in parts for batch in table.read(part) for row in batch.to_pylist()]


def _ids(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(row["id"] for row in rows)


@pytest.mark.parametrize("options", ["", "parts=4", "parts=5&split=name", "parts=9"])
def test_every_row_is_in_one_part(postgresql: PostgreSQL, orders: str, options: str) -> None:
    parts, rows = _read(postgresql.uri(orders, options))
    assert _ids(rows) == EVERY
    assert len(parts) > 1 or not options
    assert _read(postgresql.uri(orders, options))[1] == rows  # in the same order


def test_parts_of_a_key_are_of_about_one_size(postgresql: PostgreSQL) -> None:
    table = postgresql.table("id bigint PRIMARY KEY")
    postgresql.do(f"INSERT INTO {table} SELECT n::bigint * n FROM generate_series(1, 90000) n", f"ANALYZE {table}")
    parts, rows = _read(postgresql.uri(table, "parts=4"))
    assert len(rows) == 90_000
    bounds = [json.loads(part)["range"] for part in parts]
    sizes = Counter(sum(bound is not None and int(bound) < row["id"] for _, bound in bounds) for row in rows)
    assert len(sizes) == 4
    assert max(sizes.values()) < 2 * min(sizes.values())


def test_nulls_of_the_column_that_splits_are_read_once(postgresql: PostgreSQL) -> None:
    table = postgresql.table("id int, part int", [(1, None), (2, 5), (3, None), (4, 9), (5, 7)])
    for parts in ("1", "2&split=part", "9&split=part"):
        assert _ids(_read(postgresql.uri(table, f"parts={parts}"))[1]) == [1, 2, 3, 4, 5]
    nulls = postgresql.table("id int, part int", [(1, None)])
    assert _ids(_read(postgresql.uri(nulls, "parts=3&split=part"))[1]) == [1]


@pytest.mark.parametrize(("name", "options"), [("p1", "parts=3"), ("p2", "parts=3&split=id"), ("p3", "parts=1")])
def test_partitions_views_and_empty_tables_are_read(
    postgresql: PostgreSQL, orders: str, name: str, options: str
) -> None:
    postgresql.do(
        f"CREATE TABLE {name} (id int, at int) PARTITION BY RANGE (at)",
        f"CREATE TABLE {name}_a PARTITION OF {name} FOR VALUES FROM (0) TO (3000)",
        f"CREATE TABLE {name}_b PARTITION OF {name} FOR VALUES FROM (3000) TO (9000)",
        f"INSERT INTO {name} SELECT n, n FROM generate_series(1, {ROWS}) n",
        f"CREATE VIEW {name}_view AS SELECT * FROM {orders}",
        f"CREATE TABLE {name}_empty (id int)",
    )
    assert _ids(_read(postgresql.uri(name, options))[1]) == EVERY
    assert _read(postgresql.uri(f"{name}_empty", options))[1] == []
    if name == "p1":
        with pytest.raises(UsageError, match=r"\?parts: a view is split by ranges of a column: say \?split=COLUMN"):
            _read(postgresql.uri(f"{name}_view", options))
    else:
        assert _ids(_read(postgresql.uri(f"{name}_view", options))[1]) == EVERY


def test_only_what_changed_after_a_watermark_is_read(postgresql: PostgreSQL, orders: str) -> None:
    options = "watermark=updated_at&after=2024-01-03T00:00:00Z"
    table = table_of(postgresql.uri(orders, f"{options}&parts=3"), ("id",))
    parts = table.parts()
    assert {json.loads(part)["until"] for part in parts} == {"2024-01-04 11:20:00+00"}
    # What comes while it is read is not read, whatever part it falls into.
    postgresql.do(f"INSERT INTO {orders} VALUES (0, 'late', 0, '2025-01-01Z')")
    read = [row for part in parts for batch in table.read(part) for row in batch.to_pylist()]
    postgresql.do(f"DELETE FROM {orders} WHERE id = 0")
    assert _ids(read) == list(range(2_881, ROWS + 1))
    assert _ids(_read(postgresql.uri(orders, f"{options}&until=2024-01-03T00:02:00Z"))[1]) == [2881, 2882]
    assert _read(postgresql.uri(orders, "watermark=updated_at&after=2030-01-01"))[1] == []


def test_a_condition_is_the_servers_own_and_no_way_to_do_anything_else(postgresql: PostgreSQL, orders: str) -> None:
    _, rows = _read(postgresql.uri(orders, "where=name in ('n1', 'n2') and price < 10&parts=2"))
    assert _ids(rows) == [number for number in range(1, 40) if number % 7 in (1, 2)]
    postgresql.do(
        f"CREATE FUNCTION sneaky() RETURNS bool LANGUAGE plpgsql AS 'BEGIN DELETE FROM {orders}; RETURN true; END'"
    )
    with pytest.raises(UsageError, match="cannot execute DELETE in a read-only transaction"):
        _read(postgresql.uri(orders, "where=sneaky()"))
    with pytest.raises(UsageError, match='column "nome" does not exist'):
        _read(postgresql.uri(orders, "where=nome = 1"))


@pytest.mark.parametrize(
    "text", ["", "1; DROP TABLE a", "id = (SELECT 1)", "true) OR (true", "x = $1", "x = ?", "id AS b", "DELETE FROM a"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no condition of one row"):
        parse_condition(text, "postgres")


def test_values_of_options_are_values_and_nothing_else(postgresql: PostgreSQL) -> None:
    table = postgresql.table('id int, "wh; DROP" text', [(1, "a'; DROP TABLE x; --"), (2, "b")])
    uri = postgresql.uri(table, "watermark=wh%3B DROP&after=a'; DROP TABLE x; --&until=zz'")
    assert _ids(_read(uri)[1]) == [2]
    assert _ids(_read(postgresql.uri(table, "split=wh%3B DROP&parts=2"))[1]) == [1, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("split=idd", r"\?split: public.* has no column 'idd'. Did you mean 'id'\?"),
        ("watermark=updated", r"\?watermark: .* has no column 'updated'. Did you mean 'updated_at'\?"),
        ("watermark=updated_at&after=yesterdy", r"\?after: 'yesterdy' is no value of 'updated_at', which is timestamp"),
        ("after=3", r"\?after and \?until are for nothing without \?watermark=COLUMN"),
        ("parts=0", r"\?parts: 0 is not allowed: 1 to 1,000"),
        ("parts=1&split=id", r"\?split is for nothing with \?parts=1"),
        ("where=1;2", "is no condition of one row"),
    ],
)
def test_options_that_do_not_fit_are_refused(postgresql: PostgreSQL, orders: str, options: str, words: str) -> None:
    uri = postgresql.uri(orders, options)
    with pytest.raises(UsageError, match=words):
        _read(uri)


def test_a_table_that_is_not_there_and_columns_it_has_not_are_told(postgresql: PostgreSQL, orders: str) -> None:
    with pytest.raises(UsageError, match="there is no table nowhere"):
        _read(postgresql.uri("nowhere"))
    with pytest.raises(UsageError, match="has none of the columns nome; it has id, name"):
        _read(postgresql.uri(orders), ("nome",))


def test_times_beyond_the_calendar_are_told_not_changed(postgresql: PostgreSQL) -> None:
    for kind, value in (("date", "infinity"), ("timestamptz", "-infinity"), ("timestamp", "infinity")):
        uri = postgresql.uri(postgresql.table(f"id {kind}", [(value,)]))
        with pytest.raises(UsageError, match="column 'id' holds a time that isn't within the years 1 to 9999"):
            _read(uri)


def test_rows_come_as_the_contract_has_them(postgresql: PostgreSQL) -> None:
    columns = (
        "id uuid, name char(3), price numeric(8,2), every numeric, doc jsonb, tags text[], at timestamptz, ok bool"
    )
    key = "0d59a0b4-cd69-4ac1-9b0e-4f4a8d1f2a3b"
    row = (key, "ab", "1.50", "1e2", '{"a": 1}', ["x", None], "2024-02-29T12:00:00Z", True)
    wrong = (key, None, "NaN", None, None, None, None, None)
    table = postgresql.table(f"{columns}, unread int", [(*row, 1), (*wrong, 1)])
    types = {
        "id": pa.string(),
        "name": pa.string(),
        "price": pa.decimal128(8, 2),
        "every": pa.float64(),
        "doc": pa.string(),
        "at": pa.timestamp("us", "UTC"),
        "ok": pa.bool_(),
    }
    contract = Contract("t", tuple(Field(name, kind) for name, kind in types.items()))
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadFromTable(postgresql.uri(table), list(types))
        valid = read.good | DecodeBatches(contract) | ValidateBatches(contract)
        rows = valid.good | beam.FlatMap(lambda batch: batch.select(list(types)).to_pylist())
        at = datetime(2024, 2, 29, 12, tzinfo=timezone.utc)
        expected = [key, "ab ", Decimal("1.50"), 100.0, '{"a": 1}', at, True]
        assert_that(rows, equal_to([dict(zip(types, expected, strict=True))]), "rows")
        letters = valid.dead_letters | beam.FlatMap(lambda batch: batch.select(["rule", "field", "source"]).to_pylist())
        source = f"{postgresql.uri(table)}#{{}}"
        assert_that(letters, equal_to([{"rule": "type", "field": "price", "source": source}]), "letters")


def test_a_table_travels_and_is_compared_by_value(postgresql: PostgreSQL, orders: str) -> None:
    uri = postgresql.uri(orders, "password=env:SECRET&parts=2")
    table = table_of(uri, ["id"])
    assert pickle.loads(pickle.dumps(table)) == table == table_of(uri, ["id"])
    assert hash(table) == hash(table_of(uri, ["id"]))
    assert table.name == postgresql.uri(orders)
