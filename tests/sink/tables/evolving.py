"""Tables of every store with the same columns, and rows whose columns differ from them: what becomes of both."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from beam_pipelines import ledger
from beam_pipelines.contract import Contract, Field
from beam_pipelines.errors import UsageError
from beam_pipelines.pipelines.files_to_lake.evolution import check_evolution, told
from beam_pipelines.sink.care.inventory import live_files, manifests
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter
from beam_pipelines.sink.publishing import finalize
from beam_pipelines.sink.runs import RunIdentity, committed_runs
from beam_pipelines.sink.tables.fit import misfits
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Layout, StagedFile, TableOfFiles
from beam_pipelines.sink.tables.write import _cast
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL

Row = dict[str, Any]
PAGE = Path(__file__).parents[3] / "docs/stores.md"
_numbers = itertools.count()

TABLE = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        ("n", pa.int32()),
        ("price", pa.decimal128(9, 2)),
        ("f", pa.float32()),
        pa.field("code", pa.string(), nullable=False),
        ("note", pa.string()),
        ("item", pa.struct([("sku", pa.string())])),
    ]
)
ROWS: list[Row] = [
    {"id": 1, "n": 1, "price": Decimal("1.00"), "f": 1.5, "code": "a", "note": "x", "item": {"sku": "s"}},
    {"id": 2, "n": None, "price": None, "f": None, "code": "b", "note": None, "item": None},
]
ROW: Row = {"id": 3, "n": 3, "price": Decimal("3.00"), "f": 3.5, "code": "c", "note": "z", "item": {"sku": "u"}}


@dataclasses.dataclass(frozen=True)
class Change:
    """Rows whose columns aren't the table's. `odd` has a value that the table's column can't hold, if it has one."""

    schema: pa.Schema
    row: Row
    odd: Row | None = None


def _schema(*without: str, **fields: pa.DataType | pa.Field) -> pa.Schema:
    """The table's columns with some of other types, without some, and with more."""
    kept = [
        fields.get(field.name, field)
        if isinstance(fields.get(field.name), pa.Field)
        else field.with_type(fields.get(field.name, field.type))
        for field in TABLE
        if field.name not in without
    ]
    return pa.schema([*kept, *(pa.field(name, kind) for name, kind in fields.items() if name not in TABLE.names)])


def _row(*without: str, **values: Any) -> Row:
    return {name: value for name, value in {**ROW, **values}.items() if name not in without}


CHANGES = {
    "a column more": Change(_schema(extra=pa.string()), _row(extra="new")),
    "an integer of more bits": Change(_schema(n=pa.int64()), _row(), _row(n=2**40)),
    "a float of more bits": Change(_schema(f=pa.float64()), _row(), _row(f=0.1)),
    "a decimal of more digits": Change(
        _schema(price=pa.decimal128(12, 2)), _row(), _row(price=Decimal("1234567890.12"))
    ),
    "a decimal of another scale": Change(_schema(price=pa.decimal128(12, 3)), _row(), _row(price=Decimal("1.234"))),
    "a narrower type": Change(_schema(n=pa.int16(), price=pa.decimal128(5, 2)), _row()),
    "another kind of type": Change(_schema(n=pa.string()), _row(n="3"), _row(n="three")),
    "a column less": Change(_schema("note"), _row("note")),
    "a column less that the table needs": Change(_schema("code"), _row("code")),
    "a column that has another name": Change(_schema("note", remark=pa.string()), _row("note", remark="z")),
    "another order": Change(pa.schema(list(TABLE)[::-1]), _row()),
    "nullable, where the table isn't": Change(_schema(code=pa.field("code", pa.string())), _row(), _row(code=None)),
    "never null, where the table may be": Change(_schema(note=pa.field("note", pa.string(), nullable=False)), _row()),
    "a field more in an object": Change(
        _schema(item=pa.struct([("sku", pa.string()), ("size", pa.int64())])), _row(item={"sku": "u", "size": 7})
    ),
}


def matrix(section: str) -> dict[str, dict[str, str]]:
    """The first table of a section of the page: line → column → word."""
    text = PAGE.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    table = text[text.index("|") :].split("\n\n")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {line[0]: dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[2:]}


class Evolving(Protocol):
    """A table that has the columns of `TABLE`, and `ROWS`."""

    def write(self, schema: pa.Schema, rows: list[Row]) -> list[int]:
        """Write rows; the ids of those that are dead letters. UsageError if rows of the schema can't be written."""

    def columns(self) -> dict[str, tuple[str, bool]]:
        """Type and nullability of each column, by name, as the store tells them."""

    def read(self) -> list[Row]:
        """All rows, as the store's own client reads them."""


def outcome(table: Evolving, change: Change) -> str:
    """What became of a change, as the page has it. Fails if a row isn't as it was, or as it was given."""
    before, given = table.columns(), [change.row, *([] if change.odd is None else [{**change.odd, "id": 4}])]
    try:
        letters = table.write(change.schema, given)
    except UsageError:
        assert (table.columns(), _by_id(table.read())) == (before, _by_id(ROWS)), "what is refused changes nothing"
        return "refused"
    after = table.columns()
    names = [*after, *(name for name in change.schema.names if name not in after)]
    expected = [{name: row.get(name) for name in names} for row in [*ROWS, *given] if row["id"] not in letters]
    assert _by_id(table.read(), names) == _by_id(expected, names)
    if letters:
        assert letters == [4], "a row that fits is no dead letter"
        return "by row"
    if after.keys() > before.keys():
        return "added"
    if any(after[name][0] != kind for name, (kind, _) in before.items()):
        return "widened"
    if after != before:
        return "may be null"
    return "null" if before.keys() - set(change.schema.names) else "written"


def _by_id(rows: list[Row], names: list[str] | None = None) -> list[str]:
    wanted = TABLE.names if names is None else names
    rows = [{name: _plain(row.get(name)) for name in sorted(wanted)} for row in rows]
    return sorted(json.dumps(row, default=str) for row in rows)


def _plain(value: Any) -> Any:
    """Fields of an object that older rows don't have are null, and trailing zeros of a decimal are nothing."""
    if isinstance(value, dict):
        return {name: inner for name, inner in value.items() if inner is not None}
    if isinstance(value, Decimal):
        return str(value.normalize())
    return str(value) if isinstance(value, int) else value  # a database takes numbers that are written as texts


@dataclasses.dataclass
class OfStore:
    """A table of a store that is written to by URI."""

    uri: str
    lake: Path
    columns: Callable[[], dict[str, tuple[str, bool]]]
    read: Callable[[], list[Row]]
    opened: Callable[[], Any] = lambda: None
    """The table, as the store's own client has it."""

    def write(self, schema: pa.Schema, rows: list[Row], run: str = "") -> list[int]:
        table = table_of(self.uri, schema)
        table.check()
        batch, letters = pa.RecordBatch.from_pylist(rows, schema), []
        failures = misfits(batch, table.columns())
        if failures is not None:
            letters = batch.filter(failures.is_valid()).column("id").to_pylist()
            batch = batch.filter(failures.is_null())
        layout = table.layout() if isinstance(table, TableOfFiles) else Layout(schema)
        run = run or f"run-{next(_numbers)}"
        writer = FolderWriter(
            FolderLayout(str(self.lake), run, "rows", layout.schema, layout.partition_by, cut=layout.cut)
        )
        writer.write(_cast(batch, layout.schema))
        files = [
            StagedFile(f"{self.lake}/_runs/{run}/tmp/{file.path}", file.rows, file.bytes) for file in writer.close()
        ]
        table.commit(run, files, lambda _: None)
        return letters


@dataclasses.dataclass
class OfLake:
    """A lake's `rows/`, written by runs of files_to_lake as far as their contract's columns go."""

    lake: Path

    def write(self, schema: pa.Schema, rows: list[Row]) -> list[int]:
        shape, lake = told(schema, (), "parquet"), str(self.lake)
        fields = tuple(Field(field.name, field.type, required=not field.nullable) for field in schema)
        if self.lake.exists() and committed_runs(lake):
            check_evolution(lake, shape, Contract("orders", fields), None)
        run = RunIdentity(
            f"run-{next(_numbers)}", "files_to_lake", "f", started=datetime.now(timezone.utc), contract=shape
        )
        writer = FolderWriter(FolderLayout(lake, run.run_id, "rows", schema, ()))
        writer.write(pa.RecordBatch.from_pylist(rows, schema))
        read = [ledger.entry("ReadFiles", ledger.READ, len(rows))]
        written = writer.close()
        finalize(lake, run, written, read)
        return []

    def files(self) -> list[str]:
        return [f"{self.lake}/{file.path}" for file in live_files(manifests(str(self.lake)))]

    def columns(self) -> dict[str, tuple[str, bool]]:
        return {field.name: (str(field.type), True) for field in self._schema()}

    def read(self) -> list[Row]:
        found: list[Row] = pads.dataset(self.files(), schema=self._schema()).to_table().to_pylist()
        return found

    def _schema(self) -> pa.Schema:
        schemas = [pq.read_schema(path) for path in self.files()]
        nullable = [pa.schema([field.with_nullable(True) for field in schema]) for schema in schemas]
        return pa.unify_schemas(nullable)


def lake(_: pytest.FixtureRequest, folder: Path) -> OfLake:
    made = OfLake(folder / "lake")
    made.write(TABLE, ROWS)
    return made


def iceberg(_: pytest.FixtureRequest, folder: Path, options: str = "") -> OfStore:
    from beam_pipelines.sink.tables.iceberg.table import IcebergTable

    where = f"catalog_uri=sqlite:///{folder}/catalog.db&warehouse=file://{folder}/warehouse"
    uri = f"iceberg://shop/sales.orders?{where}&create=true&{options}"

    def opened() -> Any:
        table = table_of(uri, TABLE)
        assert isinstance(table, IcebergTable)
        return table.place.open()

    def columns() -> dict[str, tuple[str, bool]]:
        return {field.name: (str(field.field_type), not field.required) for field in opened().schema().fields}

    made = OfStore(uri, folder / "lake", columns, lambda: opened().scan().to_arrow().to_pylist(), opened)
    made.write(TABLE, ROWS)
    return made


def iceberg_evolving(request: pytest.FixtureRequest, folder: Path) -> OfStore:
    return iceberg(request, folder, "evolve=true")


def delta(_: pytest.FixtureRequest, folder: Path, options: str = "") -> OfStore:
    from deltalake import DeltaTable

    def columns() -> dict[str, tuple[str, bool]]:
        return {field.name: (str(field.type), field.nullable) for field in DeltaTable(folder / "table").schema().fields}

    def read() -> list[Row]:
        found: list[Row] = DeltaTable(folder / "table").to_pyarrow_table().to_pylist()
        return found

    made = OfStore(f"delta://{folder}/table?create=true&{options}", folder / "lake", columns, read)
    made.write(TABLE, ROWS)
    return made


def delta_evolving(request: pytest.FixtureRequest, folder: Path) -> OfStore:
    return delta(request, folder, "evolve=true")


_COLUMNS = "id bigint NOT NULL, n int, price {decimal}(9,2), f {real}, code {text} NOT NULL, note {text}, item {json}"


def postgresql(request: pytest.FixtureRequest, folder: Path) -> OfStore:
    server: PostgreSQL = request.getfixturevalue("postgresql")
    table = server.table(_COLUMNS.format(decimal="numeric", real="real", text="text", json="jsonb"))

    def columns() -> dict[str, tuple[str, bool]]:
        query = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = %s"
        return {name: (kind, nullable == "YES") for name, kind, nullable in server.ask(query, table)}

    def read() -> list[Row]:
        names = list(columns())
        exact = ", ".join("f::float8" if name == "f" else name for name in names)
        found = server.ask(f"SELECT {exact} FROM {table}")
        return [dict(zip(names, row, strict=True)) for row in found]

    made = OfStore(server.uri(table), folder / "lake", columns, read)
    made.write(TABLE, ROWS)
    return made


def mariadb(request: pytest.FixtureRequest, folder: Path) -> OfStore:
    server: MariaDB = request.getfixturevalue("mariadb")
    table = server.table(_COLUMNS.format(decimal="decimal", real="float", text="varchar(20)", json="json"))

    def columns() -> dict[str, tuple[str, bool]]:
        query = "SELECT column_name, column_type, is_nullable FROM information_schema.columns WHERE table_name = %s"
        return {name: (kind, nullable == "YES") for name, kind, nullable in server.ask(query, values=[table])}

    def read() -> list[Row]:
        names = list(columns())
        exact = ", ".join("CAST(f AS double) AS f" if name == "f" else name for name in names)
        found = [dict(zip(names, row, strict=True)) for row in server.ask(f"SELECT {exact} FROM test.{table}")]
        return [{**row, "item": None if row["item"] is None else json.loads(row["item"])} for row in found]

    made = OfStore(server.uri(table), folder / "lake", columns, read)
    made.write(TABLE, ROWS)
    return made


MakeStore = Callable[[pytest.FixtureRequest, Path, str], OfStore]

STORES: dict[str, Callable[[pytest.FixtureRequest, Path], Evolving]] = {
    "the lake": lake,
    "Iceberg": iceberg,
    "Iceberg, `evolve`": iceberg_evolving,
    "Delta": delta,
    "Delta, `evolve`": delta_evolving,
    "PostgreSQL": postgresql,
    "MariaDB": mariadb,
}
"""Columns of the page's table."""
