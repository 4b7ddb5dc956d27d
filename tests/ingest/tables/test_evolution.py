"""Tables whose columns aren't the contract's any more: what its readers see is what docs/stores.md tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyiceberg.types import LongType, StringType

from beam_pipelines.columnar.provenance import EXTRA, FAILURES, column_batch
from beam_pipelines.contract import Contract, Field
from beam_pipelines.contract.contract_checks import OnSchemaChange
from beam_pipelines.decode.formats import decode
from beam_pipelines.errors import ContractViolation
from beam_pipelines.ingest.tables import delta, iceberg
from beam_pipelines.ingest.tables.known import table_of
from beam_pipelines.pipelines.steps.sources import columns_of
from beam_pipelines.validate.rules import judge
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.sink.tables import evolving
from tests.sink.tables.evolving import ROWS, TABLE, Row, matrix

POLICIES: tuple[OnSchemaChange, ...] = ("discard_value", "evolve", "discard_row", "freeze")
assert set(POLICIES) == set(get_args(OnSchemaChange))

NEWER: list[Row] = [{**ROWS[0], "id": 3}, {**ROWS[0], "id": 4}]
"""What is written when the table has changed."""


def _without(name: str) -> pa.Schema:
    return TABLE.remove(TABLE.get_field_index(name))


TABLES: dict[str, tuple[pa.Schema, list[Row]]] = {
    "a column more": (TABLE.append(pa.field("extra", pa.string())), [{**row, "extra": "new"} for row in NEWER]),
    "a wider type": (TABLE.set(1, pa.field("n", pa.int64())), [NEWER[0], {**NEWER[1], "n": 2**40}]),
    "a column less": (_without("note"), NEWER),
    "a column less that the contract requires": (_without("code"), NEWER),
    "a column that has another name": (
        _without("note").append(pa.field("remark", pa.string())),
        [{**row, "remark": "new"} for row in NEWER],
    ),
    "another order": (pa.schema(list(TABLE)[::-1]), NEWER),
}
"""What a table's columns have become, and rows that came then."""


class Changed(NamedTuple):
    """How a table that has changed is read, some columns or all, and all rows that are in it."""

    read: Callable[[tuple[str, ...] | None], Iterator[pa.RecordBatch]]
    rows: list[Row]
    earlier: str | None = None
    """URI of the table as it was before, of a store that has snapshots."""
    known: tuple[str, ...] = tuple(TABLE.names)
    """Columns of the contract."""


def _kept(rows: list[Row], schema: pa.Schema) -> list[Row]:
    """Rows as they are when their columns have gone."""
    return [{name: value for name, value in row.items() if name in schema.names} for row in rows]


def _renamed(rows: list[Row], schema: pa.Schema) -> list[Row]:
    """Rows as they are when their columns have gone or have other names."""
    return _kept([{**row, **({"remark": row["note"]} if "remark" in schema.names else {})} for row in rows], schema)


def _lake(_: pytest.FixtureRequest, folder: Path, schema: pa.Schema, rows: list[Row]) -> Changed:
    """Files of several schemas side by side. A lake lets no wider type in; files collected by somebody may have one."""
    made = evolving.lake(_, folder)
    pq.write_table(pa.Table.from_pylist(_kept(rows, schema), schema), folder / "newer.parquet")

    def read(columns: tuple[str, ...] | None) -> Iterator[pa.RecordBatch]:
        for path in [*made.files(), folder / "newer.parquet"]:
            names = pq.read_schema(path).names
            yield from pq.ParquetFile(path).iter_batches(
                columns=[name for name in names if columns is None or name in columns]
            )

    return Changed(read, [*ROWS, *_kept(rows, schema)])


def _iceberg(_: pytest.FixtureRequest, folder: Path, schema: pa.Schema, rows: list[Row]) -> Changed:
    made = evolving.iceberg(_, folder)
    with made.opened().update_schema(allow_incompatible_changes=True) as update:
        if "extra" in schema.names:
            update.add_column("extra", StringType())
        if "n" in schema.names and schema.field("n").type == pa.int64():
            update.update_column("n", LongType())
        if "remark" in schema.names:
            update.rename_column("note", "remark")
        elif gone := set(TABLE.names) - set(schema.names):
            update.delete_column(*gone)
        if schema.names[0] != "id":
            for name in TABLE.names:
                update.move_first(name)
    made.write(schema, rows)
    uri = made.uri.partition("&create")[0]
    first = made.opened().snapshots()[0].snapshot_id
    return Changed(_of(uri), _renamed(ROWS, schema) + _kept(rows, schema), f"{uri}&snapshot={first}")


def _delta(_: pytest.FixtureRequest, folder: Path, schema: pa.Schema, rows: list[Row]) -> Changed:
    evolving.delta(_, folder)
    every = [*_kept(ROWS, schema), *_kept(rows, schema)]
    write_deltalake(folder / "table", pa.Table.from_pylist(every, schema), mode="overwrite", schema_mode="overwrite")
    return Changed(_of(f"delta://{folder}/table"), every, f"delta://{folder}/table?version=1")


def _postgresql(request: pytest.FixtureRequest, folder: Path, schema: pa.Schema, rows: list[Row]) -> Changed:
    made = evolving.postgresql(request, folder)
    server: PostgreSQL = request.getfixturevalue("postgresql")
    server.do(*_altered(made.uri.rpartition("/")[2], schema, "ALTER COLUMN n TYPE bigint"))
    return _of_database(made, schema, rows)


def _mariadb(request: pytest.FixtureRequest, folder: Path, schema: pa.Schema, rows: list[Row]) -> Changed:
    made = evolving.mariadb(request, folder)
    server: MariaDB = request.getfixturevalue("mariadb")
    server.ask("USE test", *_altered(made.uri.rpartition("/")[2], schema, "MODIFY n bigint"))
    return _of_database(made, schema, rows)


def _altered(table: str, schema: pa.Schema, widened: str) -> list[str]:
    """Statements that give a table the columns of a schema."""
    gone = set(TABLE.names) - set(schema.names)
    if "remark" in schema.names:
        return [f"ALTER TABLE {table} RENAME COLUMN note TO remark"]
    if "extra" in schema.names:
        return [f"ALTER TABLE {table} ADD COLUMN extra varchar(20)"]
    if gone:
        return [f"ALTER TABLE {table} DROP COLUMN {gone.pop()}"]
    if schema.field("n").type == pa.int64():
        return [f"ALTER TABLE {table} {widened}"]
    others = f"CREATE TABLE {table}_new AS SELECT {', '.join(schema.names)} FROM {table}"
    return [others, f"DROP TABLE {table}", f"ALTER TABLE {table}_new RENAME TO {table}"]


def _of_database(made: evolving.OfStore, schema: pa.Schema, rows: list[Row]) -> Changed:
    made.write(schema, rows)
    # An object in a column of JSON comes as text, which the contract would have to say.
    known = tuple(name for name in TABLE.names if name != "item")
    of_table = _of(made.uri)

    def read(columns: tuple[str, ...] | None) -> Iterator[pa.RecordBatch]:
        for batch in of_table(columns):
            yield batch.drop_columns(["item"]) if columns is None else batch

    return Changed(read, _renamed(ROWS, schema) + _kept(rows, schema), known=known)


def _of(uri: str) -> Callable[[tuple[str, ...] | None], Iterator[pa.RecordBatch]]:
    def read(columns: tuple[str, ...] | None) -> Iterator[pa.RecordBatch]:
        source = table_of(uri, columns)
        source.check()
        for part in source.parts():
            yield from source.read(part)

    return read


STORES = {"the lake": _lake, "Iceberg": _iceberg, "Delta": _delta, "PostgreSQL": _postgresql, "MariaDB": _mariadb}
TOLD = matrix("When the table's columns change")


@pytest.fixture(autouse=True)
def plans() -> Iterator[None]:
    yield
    iceberg._planned.cache_clear()
    delta._planned.cache_clear()


def test_the_page_tells_each_change_and_each_policy() -> None:
    assert list(TOLD) == list(TABLES)
    assert all(list(line) == [f"`{policy}`" for policy in POLICIES] for line in TOLD.values())


@pytest.fixture(scope="module")
def changed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Changed:
    store, change = request.param
    return STORES[store](request, tmp_path_factory.mktemp("changed"), *TABLES[change])


def _changed(*stores: str) -> pytest.MarkDecorator:
    tables = [pytest.param((store, change), id=f"{store}-{change}") for store in stores for change in TABLES]
    return pytest.mark.parametrize("changed", tables, indirect=True, scope="module")


@_changed(*STORES)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_reader_with_the_earlier_contract_sees_what_the_page_tells(
    request: pytest.FixtureRequest, changed: Changed, policy: OnSchemaChange
) -> None:
    _, change = request.node.callspec.params["changed"]
    assert _seen(changed, policy) == TOLD[change][f"`{policy}`"]


def _seen(changed: Changed, policy: OnSchemaChange) -> str:
    """What a reader sees, as the page has it. Fails if a row that is good has other values than the table has."""
    known = [field for field in TABLE if field.name in changed.known]
    fields = tuple(Field(field.name, field.type, required=not field.nullable) for field in known)
    contract = Contract("orders", fields, on_schema_change=policy)
    good: list[Row] = []
    refused: list[Row] = []
    try:
        for batch in changed.read(columns_of(contract)):
            raw = column_batch(batch.to_struct_array(), "table", pa.array(range(batch.num_rows), pa.int64()))
            judged = judge(decode(raw, contract), contract)
            good += judged.good.to_pylist()
            refused += judged.refused.to_pylist()
    except ContractViolation:
        return "the run fails"
    table = {row["id"]: row for row in changed.rows}
    assert sorted(row["id"] for row in [*good, *refused]) == [1, 2, 3, 4]
    for row in good:
        expected = {name: table[row["id"]].get(name) for name in contract.names}
        assert {name: row[name] for name in contract.names} == expected
    rules = {failure["rule"] for row in refused for failure in row[FAILURES]}
    if refused:
        assert {row["id"] for row in refused} <= {3, 4} or rules == {"required"} or "schema.unknown_field" in rules
        return "by row" if [row["id"] for row in refused] == [4] else "dead letters"
    others = [name for row in changed.rows for name in row if name not in TABLE.names]
    if any(row.get(EXTRA) for row in good):
        assert all(row[EXTRA] and "new" in row[EXTRA] for row in good if row["id"] > 2)
        return "kept in `_extra`"
    if all(row["note"] is None for row in good if row["id"] > 2):
        return "null"
    return "left out" if others else "read"


@_changed("Iceberg", "Delta")
def test_a_reader_of_an_earlier_snapshot_sees_the_columns_and_rows_of_then(changed: Changed) -> None:
    assert changed.earlier is not None
    for columns in (None, tuple(TABLE.names)):
        for options in ("", "where=n=1"):
            batches = list(_of(f"{changed.earlier}&{options}" if options else changed.earlier)(columns))
            rows = [row for batch in batches for row in batch.to_pylist()]
            assert sorted(rows, key=lambda row: row["id"]) == (ROWS[:1] if options else ROWS)
            assert all(batch.schema.names == TABLE.names for batch in batches)
