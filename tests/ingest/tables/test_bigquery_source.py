"""Rows of BigQuery's tables: one state of them, what came after a watermark, and what a query finds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import apache_beam as beam
import grpc
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines import Contract, DecodeBatches, Field, ReadFromTable, ValidateBatches
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.tables.known import table_of
from tests.servers.bigquery import DATASET, BigQuery
from tests.servers.bigquery_front import Fault
from tests.sink.tables.killed import ROWS, batch
from tests.sink.tables.staging import commit


@pytest.fixture
def orders(bigquery_server: BigQuery, tmp_path: Path) -> Iterator[str]:
    """A table of thirty rows."""
    table = f"orders_{bigquery_server.number()}"
    commit(bigquery_server.uri(table, "create=true"), tmp_path, pa.Table.from_batches([batch(0, 30)]))
    yield table
    assert not bigquery_server.front.faults
    assert not bigquery_server.storage.faults


def rows(uri: str, columns: tuple[str, ...] | None = None) -> list[dict[str, object]]:
    source = table_of(uri, columns)
    source.check()
    return [row for part in source.parts() for found in source.read(part) for row in found.to_pylist()]


def ids(uri: str) -> list[object]:
    return sorted(row["id"] for row in rows(uri))  # type: ignore[type-var]


def test_a_table_is_read_in_parts_with_its_types(bigquery_server: BigQuery, orders: str) -> None:
    bigquery_server.ask(f"INSERT INTO {DATASET}.{orders} (id) SELECT * FROM UNNEST(GENERATE_ARRAY(100, 40000))")
    source = table_of(bigquery_server.uri(orders, "parts=4"))
    parts = source.parts()
    assert 1 < len(parts) <= 4
    found = [[row for part_rows in source.read(part) for row in part_rows.to_pylist()] for part in parts]
    assert sorted(row["id"] for each in found for row in each) == [*range(30), *range(100, 40001)]
    assert found[0] == [row for part_rows in source.read(parts[0]) for row in part_rows.to_pylist()]
    assert len(table_of(bigquery_server.uri(orders, "parts=1")).parts()) == 1
    (first,) = rows(bigquery_server.uri(orders, "where=id%20%3D%201"))
    assert first == {
        "id": 1,
        "country": "DE",
        "amount": Decimal("0.25"),
        "placed_at": datetime(2024, 3, 1, 1, tzinfo=timezone.utc),
    }


def test_only_wanted_columns_and_rows_are_asked_for(bigquery_server: BigQuery, orders: str) -> None:
    asked = bigquery_server.uri(orders, f"where={quote('id >= 28 AND country IS NOT NULL')}")
    assert rows(asked, ("id", "unknown")) == [{"id": 28}]
    with pytest.raises(UsageError, match=r"has none of the columns no, nor\. There is: id, country, amount, placed_at"):
        rows(asked, ("no", "nor"))


def test_what_a_table_was_is_read(bigquery_server: BigQuery, orders: str) -> None:
    (now,) = bigquery_server.ask("SELECT CURRENT_TIMESTAMP() AS now")
    bigquery_server.ask(f"DELETE FROM {DATASET}.{orders} WHERE id < 10")
    assert ids(bigquery_server.uri(orders)) == list(range(10, 30))
    assert ids(bigquery_server.uri(orders, f"as_of={quote(now['now'].isoformat())}")) == list(range(30))


def test_what_came_after_a_watermark_is_read_up_to_the_greatest(bigquery_server: BigQuery, orders: str) -> None:
    asked = bigquery_server.uri(orders, "watermark=placed_at&after=2024-03-02T00:00:00")
    source = table_of(asked)
    parts = source.parts()
    assert json.loads(parts[0])["until"] == "2024-03-02T05:00:00+00:00"
    bigquery_server.ask(
        f"INSERT INTO {DATASET}.{orders} (id, placed_at) VALUES (99, TIMESTAMP '2025-01-01 00:00:00+00')"
    )
    assert ids(asked) == [25, 26, 27, 28, 29, 99]
    assert ids(asked + "&until=2024-03-02T05:00:00Z") == list(range(25, 30))
    assert ids(bigquery_server.uri(orders, "watermark=id&after=27&until=28")) == [28]
    assert ids(bigquery_server.uri(orders, "watermark=country&after=DE&until=FR%27")) == list(range(0, 30, 2))
    assert table_of(bigquery_server.uri(bigquery_server.table("id INTEGER"), "watermark=id")).parts() == []


def test_what_a_query_finds_is_read(bigquery_server: BigQuery, orders: str, tmp_path: Path) -> None:
    query = f"SELECT country, COUNT(*) AS n FROM `shop.{DATASET}.{orders}` GROUP BY country"
    (tmp_path / "query.sql").write_text(query)
    for asked in (quote(query), f"file:{tmp_path}/query.sql"):
        found = rows(f"bigquery://shop?query={asked}&{bigquery_server.endpoints}")
        assert sorted((str(row["country"]), row["n"]) for row in found) == [("DE", 12), ("FR", 15), ("None", 3)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("where=idd%20%3E%201", "idd"),
        ("where=true)%3B%20DROP%20TABLE%20a", "is no condition of one row"),
        ("where=id%20IN%20(SELECT%201)", "it has a query or a parameter in it"),
        ("after=1", "?after and ?until are for nothing without ?watermark=COLUMN"),
        ("watermark=idd", "?watermark: there is no column 'idd'. Did you mean 'id'?"),
        ("watermark=id&after=x", "?after: 'x' is no value of 'id', which is INT64"),
        ("watermark=placed_at&until=soon", "?until: 'soon' is no value of 'placed_at', which is TIMESTAMP"),
        ("as_of=yesterday", "'yesterday' is not a time"),
        ("parts=0", "?parts: 0 is not allowed: 1 to 1,000"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(
    bigquery_server: BigQuery, orders: str, options: str, words: str
) -> None:
    with pytest.raises(UsageError) as raised:
        table_of(bigquery_server.uri(orders, options)).check()
    assert words in str(raised.value)


def test_a_query_and_a_view_and_a_table_that_are_none_are_told(bigquery_server: BigQuery, orders: str) -> None:
    bigquery_server.front.faults.append(Fault("POST .*/jobs", 400, "invalidQuery"))  # dry runs aren't looked at here
    for asked, words in (
        (f"bigquery://shop.{DATASET}.{orders}?query=SELECT%201", "names no project"),
        ("bigquery://shop?query=SELECT%201&where=true", "?where is the query's to say"),
        (f"bigquery://shop?query=SELEC%201&{bigquery_server.endpoints}", "bigquery://shop: a fault that"),
        (bigquery_server.uri(orders).replace(orders, f"{orders}x"), f"Did you mean '{orders}'?"),
    ):
        with pytest.raises(UsageError) as raised:
            table_of(asked).check()
        assert words in str(raised.value)
    bigquery_server.ask(f"CREATE VIEW `shop.{DATASET}.{orders}_view` AS SELECT 1 AS id")
    with pytest.raises(UsageError, match=r"is a view, .* write bigquery://shop\?query=SELECT"):
        table_of(bigquery_server.uri(f"{orders}_view")).check()


def test_throttling_and_cuts_pass(bigquery_server: BigQuery, orders: str) -> None:
    bigquery_server.storage.faults += [
        ("CreateReadSession", grpc.StatusCode.UNAVAILABLE, False),
        ("CreateReadSession", grpc.StatusCode.RESOURCE_EXHAUSTED, False),
        ("ReadRows", grpc.StatusCode.UNAVAILABLE, True),
    ]
    assert ids(bigquery_server.uri(orders)) == list(range(30))


def test_rights_that_are_missing_are_told(bigquery_server: BigQuery, orders: str) -> None:
    bigquery_server.storage.faults.append(("CreateReadSession", grpc.StatusCode.PERMISSION_DENIED, False))
    with pytest.raises(UsageError, match=r"is refused: grant it bigquery\.dataEditor"):
        table_of(bigquery_server.uri(orders)).check()


def test_a_pipeline_reads_judges_and_counts(bigquery_server: BigQuery, orders: str) -> None:
    contract = Contract("orders", tuple(Field(field.name, field.type, required=not field.nullable) for field in ROWS))
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadFromTable(bigquery_server.uri(orders), ROWS.names)
        decoded = read.good | DecodeBatches(contract)
        valid = decoded | ValidateBatches(contract)
        found = valid.good | beam.FlatMap(lambda each: each.column("id").to_pylist())
        assert_that(found, equal_to(list(range(30))), "Rows")
        assert_that(read.ledger, equal_to([(("", "ReadFromTable", "read", ""), 30)]), "Ledger")
