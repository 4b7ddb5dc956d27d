"""Tables of files: a Delta table in a folder, and an Iceberg table of a catalog in SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.sql import SqlCatalog

import beam_pipelines as bp
from tests.conformance import kept
from tests.conformance.case import Case, Outputs

_IN_STORE = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("price", pa.decimal128(10, 2))])
_GIVEN = pa.schema([pa.field("id", pa.int64()), pa.field("price", pa.decimal128(10, 2))])


class _Delta:
    """A table in a folder, in a data file for each commit."""

    def __init__(self, folder: Path) -> None:
        self._place = str(folder / "delta")
        self.uri = f"delta://{self._place}"

    def make(self) -> None:
        DeltaTable.create(self._place, _IN_STORE)

    def append(self, rows: pa.Table) -> None:
        write_deltalake(self._place, rows, mode="append")

    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = DeltaTable(self._place).to_pyarrow_table().to_pylist()
        return found


class _Iceberg:
    """A table of a catalog of its own, in a data file for each commit."""

    def __init__(self, folder: Path) -> None:
        where, warehouse = f"sqlite:///{folder}/catalog.db", f"file://{folder}/warehouse"
        self._open: Callable[[], Any] = lambda: load_catalog("shop", type="sql", uri=where, warehouse=warehouse)
        self.uri = f"iceberg://shop/sales.orders?catalog_uri={where}&warehouse={warehouse}"

    def make(self) -> None:
        catalog = self._open()
        catalog.create_namespace("sales")
        catalog.create_table("sales.orders", _IN_STORE)
        _close(catalog)

    def append(self, rows: pa.Table) -> None:
        catalog = self._open()
        catalog.load_table("sales.orders").append(rows)
        _close(catalog)

    def rows(self) -> list[dict[str, Any]]:
        catalog = self._open()
        found: list[dict[str, Any]] = catalog.load_table("sales.orders").scan().to_arrow().to_pylist()
        _close(catalog)
        return found


def _close(catalog: Any) -> None:
    assert isinstance(catalog, SqlCatalog)
    catalog.engine.dispose()


_STORES: dict[str, Callable[[Path], _Delta | _Iceberg]] = {"delta": _Delta, "iceberg": _Iceberg}


def _row(number: int) -> dict[str, Any]:
    return {"id": number, "price": pa.scalar(f"{number}.50").cast(pa.decimal128(10, 2)).as_py()}


def _read(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    outputs: Outputs = {}
    for name, store_of in _STORES.items():
        store = store_of(folder)
        store.make()
        for numbers in ((1, 2, 3), (4, 5)):
            store.append(pa.Table.from_pylist([_row(number) for number in numbers], _IN_STORE))
        read = pipeline | f"ReadFromTable_files: {name}" >> bp.ReadFromTable(store.uri, ["id", "price"])
        told = read.good | f"ReadFromTable_files: {name}: told" >> beam.Map(
            lambda batch: batch.select(["__record", "__position"])
        )
        outputs |= {f"{name} good": told, f"{name} ledger": read.ledger}
    return outputs


def _read_expected(folder: Path) -> dict[str, list[str]]:
    positions = {1: 0, 2: 1, 3: 2, 4: 0, 5: 1}  # in the part, which is a data file
    rows = [{"__record": _row(number), "__position": position} for number, position in positions.items()]
    counts = [(("", "ReadFromTable", "read", ""), 5)]
    good = {f"{name} good": kept.texts(rows) for name in _STORES}
    return good | {f"{name} ledger": kept.texts(counts) for name in _STORES}


def _write(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    batch = pa.RecordBatch.from_pylist([_row(2), {"id": None, "price": None}, _row(3)], _GIVEN)
    outputs: Outputs = {}
    for name, store_of in _STORES.items():
        store = store_of(folder)
        store.make()
        store.append(pa.Table.from_pylist([_row(1)], _IN_STORE))
        made = pipeline | f"WriteToTable_files: {name}: input" >> beam.Create([batch]).with_output_types(pa.RecordBatch)
        write = bp.WriteToTable(store.uri, _GIVEN, staging=str(folder / f"staging-{name}"), commit_id="run-1")
        written = made | f"WriteToTable_files: {name}" >> write
        rules = written.dead_letters | f"WriteToTable_files: {name}: rules" >> beam.Map(
            lambda letters: letters.select(["rule"])
        )
        committed = written.manifest | f"WriteToTable_files: {name}: committed" >> beam.FlatMap(
            lambda manifest: [str(table["rows"]) for table in json.loads(manifest)["tables"]]
        ).with_output_types(str)
        outputs |= {f"{name} letters": rules, f"{name} ledger": written.ledger, f"{name} committed": committed}
    return outputs


def _write_found(folder: Path) -> dict[str, list[str]]:
    outputs = [f"{name} {what}" for name in _STORES for what in ("committed", "letters", "ledger")]
    rows = {f"{name} rows": kept.texts(store_of(folder).rows()) for name, store_of in _STORES.items()}
    return rows | {output: kept.read(folder, f"WriteToTable_files.{output}") for output in outputs}


def _write_expected(folder: Path) -> dict[str, list[str]]:
    expected: dict[str, list[str]] = {}
    for name in _STORES:
        expected |= {
            f"{name} rows": kept.texts([_row(number) for number in (1, 2, 3)]),
            f"{name} committed": ["2"],
            f"{name} letters": kept.texts([{"rule": "table.required"}]),
            f"{name} ledger": kept.texts([(("rows", "WriteToTable", "dead_lettered", "table.required"), 1)]),
        }
    return expected


_ABOUT = "tables of files (Delta, Iceberg)"

CASES = (
    Case("ReadFromTable_files", ("ReadFromTable",), _read, _read_expected, about=_ABOUT),
    Case("WriteToTable_files", ("WriteToTable",), _write, _write_expected, _write_found, about=_ABOUT),
)
