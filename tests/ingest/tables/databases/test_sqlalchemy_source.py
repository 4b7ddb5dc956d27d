"""Databases behind SQLAlchemy as sources: every row once, in parts, and only what is asked for."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.tables.known import table_of
from tests.servers.databases import DIALECTS, Database, database

ROWS = 500
START = datetime.datetime(2024, 1, 1)


@pytest.fixture(params=DIALECTS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return database(request, request.param, tmp_path)


@pytest.fixture
def orders(shop: Database) -> str:
    """Rows with ids from 1, one a minute; the last name is null."""
    kind = {"sqlite": "datetime", "mariadb+pymysql": "datetime(6)"}.get(shop.dialect, "timestamp")
    rows = [
        f"({n}, nullif('n{n % 7}', '{'' if n < ROWS else f'n{n % 7}'}'), {n / 4}, "
        f"'{START + datetime.timedelta(minutes=n)}.000000')"
        for n in range(1, ROWS + 1)
    ]
    columns = f"id int PRIMARY KEY, name varchar(9), price decimal(8,2), updated_at {kind}"
    return shop.table(columns, [", ".join(rows)])


def _read(uri: str, columns: tuple[str, ...] | None = ("id",)) -> tuple[list[str], list[dict[str, Any]]]:
    table = table_of(uri, columns)
    table.check()
    parts = list(table.parts())
    return parts, [row for part in parts for batch in table.read(part) for row in batch.to_pylist()]


def _ids(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(row["id"] for row in rows)


def test_every_row_is_in_one_part_as_the_table_has_it(shop: Database, orders: str) -> None:
    for options in ("", "parts=4", "parts=5&split=name", "parts=3&split=updated_at", "parts=3&split=price"):
        parts, rows = _read(shop.uri(orders, options), None)
        assert _ids(rows) == list(range(1, ROWS + 1))
        assert len(parts) > 1 or not options
    row = min(rows, key=lambda each: each["id"])
    at = START + datetime.timedelta(minutes=1)
    assert row == {"id": 1, "name": "n1", "price": decimal.Decimal("0.25"), "updated_at": at}


def test_only_what_changed_after_a_watermark_is_read(shop: Database, orders: str) -> None:
    options = "watermark=updated_at&after=2024-01-01T03:00:00%2B02:00"
    table = table_of(shop.uri(orders, f"{options}&parts=3"), ("id",))
    parts = table.parts()
    assert {json.loads(part)["until"] for part in parts} == {"2024-01-01T08:20:00"}
    shop.ask(f"INSERT INTO {orders} VALUES (0, 'late', 0, '2025-01-01 00:00:00.000000')")
    read = [row for part in parts for batch in table.read(part) for row in batch.to_pylist()]
    assert _ids(read) == list(range(61, ROWS + 1))
    assert _ids(_read(shop.uri(orders, f"{options}&until=2024-01-01T01:02:00Z"))[1]) == [61, 62]
    assert _read(shop.uri(orders, "watermark=updated_at&after=2030-01-01"))[1] == []


def test_a_condition_is_one_of_rows(shop: Database, orders: str) -> None:
    uri = shop.uri(orders, "where=name in ('n1', 'n%252') and name <> ':x' and price < 10&parts=2".replace("%252", "2"))
    assert _ids(_read(uri)[1]) == [number for number in range(1, 40) if number % 7 in (1, 2)]
    with pytest.raises(UsageError, match="is no condition of one row"):
        _read(shop.uri(orders, "where=id in (SELECT 1)"))
    with pytest.raises(UsageError, match="nome"):
        _read(shop.uri(orders, "where=nome = 1"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("split=idd", r"\?split: the table has no column 'idd'. Did you mean 'id'\?"),
        ("watermark=updated", r"\?watermark: .*no column 'updated'. Did you mean 'updated_at'\?"),
        ("watermark=updated_at&after=yesterdy", r"\?after: 'yesterdy' is no value of 'updated_at'"),
        ("watermark=id&after=1 or 1", r"\?after: '1 or 1' is no value of 'id'"),
        ("parts=0", r"\?parts: 0 is not allowed"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    request: pytest.FixtureRequest, tmp_path: Path, options: str, words: str
) -> None:
    shop = database(request, "sqlite", tmp_path)
    table = shop.table("id int PRIMARY KEY, updated_at datetime")
    with pytest.raises(UsageError, match=words):
        _read(shop.uri(table, options))


def test_a_value_that_is_none_of_its_type_is_told(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    shop = database(request, "sqlite", tmp_path)  # which takes any
    with pytest.raises(UsageError, match="column 'id' is INTEGER, and holds a value that is none") as raised:
        _read(shop.uri(shop.table("id int", ["('secret')"])))
    assert "secret" not in str(raised.value)
