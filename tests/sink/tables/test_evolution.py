"""Rows whose columns aren't the table's: what becomes of them in each store is what docs/stores.md tells."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from beam_pipelines.errors import UsageError
from beam_pipelines.iceberg.types import evolved
from tests.sink.tables import evolving
from tests.sink.tables.evolving import CHANGES, ROW, ROWS, STORES, TABLE, matrix, outcome

TOLD = matrix("When the rows' columns change")


def test_the_page_tells_each_change_and_each_store() -> None:
    assert list(TOLD) == list(CHANGES)
    assert all(list(line) == list(STORES) for line in TOLD.values())


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("change", CHANGES)
def test_rows_of_other_columns_are_written_as_the_page_tells(
    request: pytest.FixtureRequest, tmp_path: Path, change: str, store: str
) -> None:
    table = STORES[store](request, tmp_path)
    assert outcome(table, CHANGES[change]) == TOLD[change][store]


@pytest.mark.parametrize("make", [evolving.iceberg, evolving.delta])
def test_an_upsert_that_brings_a_column_leaves_it_null_in_the_rows_that_stay(
    request: pytest.FixtureRequest, tmp_path: Path, make: evolving.MakeStore
) -> None:
    table = make(request, tmp_path, "evolve=true&mode=upsert&key=id")
    table.write(CHANGES["a column more"].schema, [{**ROW, "id": 1, "extra": "new"}])
    assert sorted((row["id"], row["note"], row["extra"]) for row in table.read()) == [(1, "z", "new"), (2, None, None)]


@pytest.mark.parametrize("make", [evolving.iceberg, evolving.delta])
def test_a_type_that_the_store_does_not_have_is_told_before_anything_is_read(
    request: pytest.FixtureRequest, tmp_path: Path, make: evolving.MakeStore
) -> None:
    table = make(request, tmp_path, "evolve=true")
    with pytest.raises(UsageError, match=r"'at'.*timestamp\[ns"):
        table.write(TABLE.append(pa.field("at", pa.timestamp("ns", "UTC"))), [ROW])
    assert "at" not in table.columns()


def test_evolving_widens_nothing_that_takes_the_rows_as_it_is(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    table = evolving.iceberg_evolving(request, tmp_path)
    before = table.columns()
    table.write(TABLE.set(3, pa.field("f", pa.int64())), [{**ROW, "f": 3}])  # pyiceberg alone would refuse it
    assert table.columns() == before
    kind = pa.struct([pa.field("a", pa.int64(), nullable=False), pa.field("l", pa.list_(pa.float64()))])
    there = pa.struct([pa.field("l", pa.list_(pa.float32())), pa.field("b", pa.string())])
    assert str(evolved(kind, there)) == "struct<l: list<item: double>, b: string, a: int64>"


def test_the_key_of_a_table_stays_one_though_the_rows_say_it_may_be_null(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    table = evolving.iceberg(request, tmp_path, "evolve=true&mode=upsert&key=id")
    rows = TABLE.set(0, pa.field("id", pa.int64()))
    assert table.write(rows, [ROW, {**ROW, "id": None}]) == [None]
    assert not table.columns()["id"][1]
    assert len(table.read()) == len(ROWS) + 1


def test_a_commit_that_is_known_evolves_nothing(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    table = evolving.delta_evolving(request, tmp_path)
    table.write(CHANGES["a column more"].schema, [{**ROW, "extra": "new"}], run="again")
    before = DeltaTable(tmp_path / "table").version()
    table.write(CHANGES["a column that has another name"].schema, [{**ROW, "remark": "z"}], run="again")
    table.write(CHANGES["a column that has another name"].schema, [])
    assert DeltaTable(tmp_path / "table").version() == before
    assert len(table.read()) == len(ROWS) + 1
