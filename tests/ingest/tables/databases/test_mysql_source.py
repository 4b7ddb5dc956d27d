"""MariaDB as a source: every row once, in parts, as the contract's types, and only what is asked for."""

from __future__ import annotations

import json
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
from beam_pipelines.ingest.tables.known import table_of
from tests.servers.mariadb import MariaDB

ROWS = 50_000
EVERY = list(range(1, ROWS + 1))


@pytest.fixture(scope="module")
def orders(mariadb: MariaDB) -> str:
    """Rows with ids from 1, one a minute."""
    table = mariadb.table("id int PRIMARY KEY, name varchar(9), price decimal(8,2), updated_at datetime(6)")
    mariadb.ask(
        f"INSERT INTO test.{table} SELECT seq, concat('n', seq % 7), seq / 4.0, '2024-01-01' + INTERVAL seq MINUTE "
        f"FROM test.seq_1_to_{ROWS}",
        f"ANALYZE TABLE test.{table}",
    )
    return table


def _read(uri: str, columns: tuple[str, ...] | None = ("id",)) -> tuple[list[str], list[dict[str, Any]]]:
    table = table_of(uri, columns)
    table.check()
    parts = list(table.parts())
    return parts, [row for part in parts for batch in table.read(part) for row in batch.to_pylist()]


def _ids(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(row["id"] for row in rows)


@pytest.mark.parametrize("options", ["", "parts=4", "parts=5&split=name", "parts=3&split=price"])
def test_every_row_is_in_one_part(mariadb: MariaDB, orders: str, options: str) -> None:
    parts, rows = _read(mariadb.uri(orders, options))
    assert _ids(rows) == EVERY
    assert len(parts) > 1 or not options


def test_parts_of_a_key_are_of_about_one_size(mariadb: MariaDB) -> None:
    table = mariadb.table("id bigint PRIMARY KEY")
    mariadb.ask(f"INSERT INTO test.{table} SELECT seq * seq FROM test.seq_1_to_90000", f"ANALYZE TABLE test.{table}")
    parts, rows = _read(mariadb.uri(table, "parts=4"))
    assert len(rows) == 90_000
    bounds = [json.loads(part)["range"] for part in parts]
    sizes = Counter(sum(bound is not None and int(bound) < row["id"] for _, bound in bounds) for row in rows)
    assert len(sizes) == 4
    assert max(sizes.values()) < 2 * min(sizes.values())


def test_nulls_of_the_column_that_splits_are_read_once(mariadb: MariaDB) -> None:
    table = mariadb.table("id int, part int", [(1, None), (2, 5), (3, None), (4, 9), (5, 7)])
    for parts in ("1", "2&split=part", "9&split=part"):
        assert _ids(_read(mariadb.uri(table, f"parts={parts}"))[1]) == [1, 2, 3, 4, 5]
    assert _read(mariadb.uri(mariadb.table("id int, part int"), "parts=3&split=part"))[1] == []


def test_only_what_changed_after_a_watermark_is_read(mariadb: MariaDB, orders: str) -> None:
    options = "watermark=updated_at&after=2024-01-03T02:00:00%2B02:00"
    table = table_of(mariadb.uri(orders, f"{options}&parts=3"), ("id",))
    parts = table.parts()
    assert {json.loads(part)["until"] for part in parts} == {"2024-02-04 17:20:00.000000"}
    # What comes while it is read is not read, whatever part it falls into.
    mariadb.ask(f"INSERT INTO test.{orders} VALUES (0, 'late', 0, '2025-01-01')")
    read = [row for part in parts for batch in table.read(part) for row in batch.to_pylist()]
    mariadb.ask(f"DELETE FROM test.{orders} WHERE id = 0")
    assert _ids(read) == list(range(2_881, ROWS + 1))
    assert _ids(_read(mariadb.uri(orders, f"{options}&until=2024-01-03T00:02:00Z"))[1]) == [2881, 2882]
    assert _read(mariadb.uri(orders, "watermark=updated_at&after=2030-01-01"))[1] == []


def test_a_condition_is_the_servers_own_and_no_way_to_do_anything_else(mariadb: MariaDB, orders: str) -> None:
    _, rows = _read(mariadb.uri(orders, "where=name in ('n1', 'n2') and price < 10&parts=2"))
    assert _ids(rows) == [number for number in range(1, 40) if number % 7 in (1, 2)]
    mariadb.ask(
        f"CREATE FUNCTION test.sneaky() RETURNS int DETERMINISTIC BEGIN DELETE FROM test.{orders}; RETURN 1; END"
    )
    with pytest.raises(UsageError, match="READ ONLY transaction"):
        _read(mariadb.uri(orders, "where=test.sneaky() = 1"))
    with pytest.raises(UsageError, match="Unknown column 'nome'"):
        _read(mariadb.uri(orders, "where=nome = 1"))


def test_values_of_options_are_values_and_nothing_else(mariadb: MariaDB) -> None:
    table = mariadb.table("id int, `wh; %s` varchar(40)", [(1, "a\\'; DROP TABLE x; --"), (2, "b")])
    assert _ids(_read(mariadb.uri(table, "watermark=wh%3B %25s&after=a\\'; DROP TABLE x; --&until=zz'"))[1]) == [2]
    assert _ids(_read(mariadb.uri(table, "split=wh%3B %25s&parts=2"))[1]) == [1, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("split=idd", r"\?split: test.* has no column 'idd'. Did you mean 'id'\?"),
        ("watermark=updated", r"\?watermark: .* has no column 'updated'. Did you mean 'updated_at'\?"),
        ("watermark=updated_at&after=yesterdy", r"\?after: 'yesterdy' is no value of 'updated_at', which is datetime"),
        ("watermark=id&after=1 or 1", r"\?after: '1 or 1' is no value of 'id', which is int"),
        ("after=3", r"\?after and \?until are for nothing without \?watermark=COLUMN"),
        ("parts=0", r"\?parts: 0 is not allowed: 1 to 1,000"),
        ("where=id = (SELECT 1)", "is no condition of one row"),
    ],
)
def test_options_that_do_not_fit_are_refused(mariadb: MariaDB, orders: str, options: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _read(mariadb.uri(orders, options))


def test_what_is_not_there_is_told(mariadb: MariaDB, orders: str) -> None:
    with pytest.raises(UsageError, match="there is no table 'nowhere' in 'test'"):
        _read(mariadb.uri("nowhere"))
    with pytest.raises(UsageError, match="has none of the columns nome; it has id, name"):
        _read(mariadb.uri(orders), ("nome",))
    keyless = mariadb.table("id int")
    with pytest.raises(UsageError, match=r"\?parts: the table has no primary key .*: say \?split=COLUMN"):
        _read(mariadb.uri(keyless, "parts=2"))


def test_rows_come_as_the_contract_has_them(mariadb: MariaDB) -> None:
    columns = (
        "id bigint unsigned, name char(3), price decimal(8,2), ok boolean, doc json, at timestamp(3) NULL, "
        "raw varbinary(9), bits bit(9), mood enum('sad', 'it''s ok'), unread int"
    )
    row = (2**63 - 1, "ä", "1.50", True, '{"a": 1}', "2024-02-29 12:00:00.25", b"\xff\0", 257, "it's ok", 1)
    table = mariadb.table(columns, [row, (1, None, None, None, None, None, None, None, None, 1)])
    types = {
        "id": pa.int64(),
        "name": pa.string(),
        "price": pa.decimal128(8, 2),
        "ok": pa.bool_(),
        "doc": pa.string(),
        "at": pa.timestamp("us", "UTC"),
        "bits": pa.int64(),
        "mood": pa.string(),
    }
    contract = Contract("t", tuple(Field(name, kind) for name, kind in types.items()))
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadFromTable(mariadb.uri(table), list(types))
        valid = read.good | DecodeBatches(contract) | ValidateBatches(contract)
        rows = valid.good | beam.FlatMap(lambda batch: batch.select(list(types)).to_pylist())
        at = datetime(2024, 2, 29, 12, microsecond=250_000, tzinfo=timezone.utc)
        found = {**dict(zip(types, row, strict=False)), "price": Decimal("1.50"), "ok": True, "at": at, "bits": 257}
        nothing = {**dict.fromkeys(types), "id": 1}
        assert_that(rows, equal_to([{**found, "doc": '{"a": 1}', "mood": "it's ok"}, nothing]), "rows")
    (raw,) = [batch.column("raw") for part in [""] for batch in table_of(mariadb.uri(table), ("raw",)).read("{}")]
    assert raw.to_pylist() == [b"\xff\0", None]


def test_numbers_of_one_digit_and_days_that_are_none_are_told_not_changed(mariadb: MariaDB) -> None:
    flags = mariadb.table("id tinyint(1)", [(1,), (5,)])
    with pytest.raises(UsageError, match=r"holds other numbers than 0 and 1: say \?booleans=false"):
        _read(mariadb.uri(flags))
    assert _ids(_read(mariadb.uri(flags, "booleans=false"))[1]) == [1, 5]
    days = mariadb.table("id date")
    mariadb.ask("SET SESSION sql_mode = ''", f"INSERT INTO test.{days} VALUES ('0000-00-00')")
    with pytest.raises(UsageError, match="column 'id' is date, and holds a value that is none"):
        _read(mariadb.uri(days))
