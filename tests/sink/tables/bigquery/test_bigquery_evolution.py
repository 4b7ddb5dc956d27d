"""Rows whose columns aren't the table's: what BigQuery's tables can become, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.tables.bigquery.evolution import changes
from beam_pipelines.sink.tables.known import table_of
from tests.servers.bigquery import BigQuery
from tests.servers.bigquery_front import Fault
from tests.sink.tables.staging import commit, refused

OLD = pa.table({"id": pa.array([1], pa.int64()), "note": ["a"]})
COLUMNS = "id INTEGER REQUIRED, note STRING"


def _kinds(server: BigQuery, table: str) -> dict[str, tuple[str, str]]:
    return {field.name: (field.field_type, field.mode) for field in server.described(table).schema}


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_columns_are_added_and_older_rows_and_writers_go_on(
    bigquery_server: BigQuery, tmp_path: Path, mode: str
) -> None:
    table = bigquery_server.table(COLUMNS)
    uri = bigquery_server.uri(table, f"evolve=true&mode={mode}&key=id")
    commit(uri, tmp_path, OLD)
    more = pa.table({"note": ["b"], "id": pa.array([2], pa.int64()), "price": [Decimal("1.5")], "tags": [["x"]]})
    commit(uri, tmp_path, more, id="run-2")
    commit(bigquery_server.uri(table, f"mode={mode}&key=id"), tmp_path, OLD.set_column(0, "id", [[3]]), id="run-3")
    assert bigquery_server.rows(table) == [
        {"id": 1, "note": "a", "price": None, "tags": []},
        {"id": 2, "note": "b", "price": Decimal("1.5"), "tags": ["x"]},
        {"id": 3, "note": "a", "price": None, "tags": []},
    ]
    assert _kinds(bigquery_server, table)["tags"] == ("STRING", "REPEATED")


def test_types_are_widened_and_columns_may_be_null_from_then_on(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table("id INTEGER REQUIRED, n INTEGER")
    wider = pa.table({"id": pa.array([None, 2], pa.int64()), "n": [Decimal("1.5"), None]})
    with pytest.raises(UsageError, match="column 'n' is int64 in the table, and decimal"):
        table_of(bigquery_server.uri(table), wider.schema).check()
    uri = bigquery_server.uri(table, "evolve=true")
    assert refused(uri, wider) == []
    assert _kinds(bigquery_server, table) == {"id": ("INTEGER", "REQUIRED"), "n": ("INTEGER", "NULLABLE")}
    commit(uri, tmp_path, wider)
    assert commit(uri, tmp_path, wider).before
    assert _kinds(bigquery_server, table) == {"id": ("INTEGER", "NULLABLE"), "n": ("NUMERIC", "NULLABLE")}
    assert [row["n"] for row in bigquery_server.rows(table, "n")] == [None, Decimal("1.5")]


def test_a_change_that_somebody_else_makes_meanwhile_is_kept(bigquery_server: BigQuery, tmp_path: Path) -> None:
    table = bigquery_server.table(COLUMNS)
    bigquery_server.front.faults.append(Fault(f"PATCH .*/{table}", 412, "conditionNotMet"))
    more = OLD.append_column("more", [["x"]])
    commit(bigquery_server.uri(table, "evolve=true"), tmp_path, more)
    assert not bigquery_server.front.faults
    assert bigquery_server.rows(table) == [{"id": 1, "note": "a", "more": "x"}]


def test_without_evolve_or_to_another_kind_nothing_changes(bigquery_server: BigQuery) -> None:
    table = bigquery_server.table(COLUMNS)
    more = OLD.append_column("more", [["x"]])
    with pytest.raises(UsageError, match=r"the table has no column 'more'.* Or say \?evolve=true"):
        table_of(bigquery_server.uri(table), more.schema).check()
    other = pa.table({"id": ["1"], "note": ["a"]})
    with pytest.raises(UsageError, match="column 'id' is int64 in the table, and string in the rows"):
        table_of(bigquery_server.uri(table, "evolve=true"), other.schema).check()
    assert _kinds(bigquery_server, table) == {"id": ("INTEGER", "REQUIRED"), "note": ("STRING", "NULLABLE")}


def _field(kind: str, mode: str = "NULLABLE", **told: object) -> dict[str, object]:
    return {"name": "n", "type": kind, "mode": mode, **told}


@pytest.mark.parametrize(
    ("rows", "there", "becomes"),
    [
        (pa.decimal128(38, 20), "INTEGER", "BIGNUMERIC"),
        (pa.float64(), "INT64", "FLOAT64"),
        (pa.decimal128(38, 20), "NUMERIC", "BIGNUMERIC"),
        (pa.float64(), "NUMERIC", "FLOAT64"),
        (pa.int64(), "NUMERIC", None),
        (pa.float64(), "BIGNUMERIC", None),
        (pa.string(), "INTEGER", None),
        (pa.int64(), "FLOAT", None),
    ],
)
def test_what_widens_to_what(rows: pa.DataType, there: str, becomes: str | None) -> None:
    found = changes(pa.schema({"n": rows}), [_field(there)])
    assert found.widened.get("n") == becomes
    assert (found.fields[0]["type"], found.patched) == (becomes or there, False)


def test_an_object_gets_inner_columns_and_the_rows_order_is_none_of_the_tables() -> None:
    rows = pa.schema({"n": pa.struct([pa.field("b", pa.int64(), False), ("a", pa.string())])})
    a = {"name": "a", "type": "STRING", "mode": "NULLABLE"}
    found = changes(rows, [_field("RECORD", fields=[a])])
    assert found.patched
    assert found.fields[0]["fields"] == [a, {"name": "b", "type": "INTEGER", "mode": "NULLABLE"}]


def test_a_key_is_never_null_from_then_on() -> None:
    rows, there = pa.schema({"n": pa.int64()}), [_field("INTEGER", "REQUIRED")]
    assert changes(rows, there).fields[0]["mode"] == "NULLABLE"
    assert changes(rows, there, ["n"]).fields == there
