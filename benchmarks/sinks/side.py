"""A side of a sink's workload: `python -m benchmarks.sinks.side SOURCE OUTPUT STORE HOW`.

HOW is `ours`, `beam` (Beam's own connector in Python, or where it has none what its users write: a DoFn that inserts a
thousand rows at once), or `bulk` (the store's own tool, without Beam).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.sinks import data, stores
from benchmarks.sinks.stores import Store

_AT_ONCE = 1_000
"""Rows of one statement: the default of Beam's WriteToJdbc."""

_COLUMNS = ", ".join(data.SCHEMA.names)


def _ours(source: str, name: str, place: Store, output: Path) -> None:
    import apache_beam as beam

    from beam_pipelines import FinalizeRun, RunIdentity, WriteToLake, WriteToTable
    from beam_pipelines.ledger import READ, entry

    with beam.Pipeline("FnApiRunner") as pipeline:
        batches = batches_of(pipeline, source)
        if name == "lake":
            files = batches | WriteToLake(place.uri, "run-1", "rows", data.SCHEMA)
            read = batches | "Read" >> beam.Map(lambda batch: entry("Read", READ, batch.num_rows))
            ([files], [read]) | FinalizeRun(place.uri, RunIdentity("run-1", "orders", ""))
        else:
            batches | WriteToTable(place.uri, data.SCHEMA, staging=str(output / "staging"), commit_id="run-1")


def _beam(source: str, name: str, place: Store, _: Path) -> None:
    import apache_beam as beam

    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = batches_of(pipeline, source) | "Rows" >> beam.FlatMap(lambda batch: batch.to_pylist())
        if name == "lake":
            prefix = f"{place.reached['place']}/rows/part"
            rows | beam.io.WriteToParquet(prefix, data.SCHEMA, codec="zstd", file_name_suffix=".parquet")
            return
        table = "orders" if name == "postgresql" else "test.orders"
        batched = rows | beam.Map(lambda row: tuple(row.values())) | beam.BatchElements(_AT_ONCE, _AT_ONCE)
        batched | beam.ParDo(_Insert(name, place.reached, table))


def batches_of(pipeline: Any, source: str) -> Any:
    """The orders as a PCollection of batches."""
    import apache_beam as beam

    return (
        pipeline
        | beam.Create(data.groups(source))
        | beam.Reshuffle()
        | "Batches" >> beam.FlatMap(lambda group: data.batches(source, group)).with_output_types(pa.RecordBatch)
    )


def _insert_class() -> Any:
    import apache_beam as beam

    class Insert(beam.DoFn):
        """Inserts a thousand rows with one call of the driver, and commits them."""

        def __init__(self, name: str, reached: dict[str, Any], table: str) -> None:
            self._name = name
            self._reached = reached
            self._statement = f"INSERT INTO {table} ({_COLUMNS}) VALUES ({', '.join(['%s'] * len(data.SCHEMA))})"

        def setup(self) -> None:
            import importlib

            driver = importlib.import_module("psycopg" if self._name == "postgresql" else "pymysql")
            self._connection = driver.connect(**self._reached)

        def process(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[None]:
            with self._connection.cursor() as cursor:
                cursor.executemany(self._statement, rows)
            self._connection.commit()
            yield from ()

        def teardown(self) -> None:
            self._connection.close()

    return Insert


def _Insert(*told: Any) -> Any:  # noqa: N802  a DoFn, whose class needs Beam
    return _insert_class()(*told)


def _bulk(source: str, name: str, place: Store, output: Path) -> None:
    rows = pa.RecordBatchReader.from_batches(
        data.SCHEMA, (batch for group in data.groups(source) for batch in data.batches(source, group))
    )
    if name == "postgresql":
        from adbc_driver_postgresql import dbapi

        told = " ".join(f"{key}={value}" for key, value in place.reached.items())
        with dbapi.connect(told) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("orders", rows, mode="append")
            connection.commit()
    elif name == "mariadb":
        _load_data(rows, place, output)
    elif name == "iceberg":
        from pyiceberg.catalog import load_catalog

        catalog = load_catalog("shop", **place.reached)
        catalog.create_namespace("sales")
        catalog.create_table("sales.orders", data.SCHEMA).append(rows.read_all())
    elif name == "delta":
        from deltalake import write_deltalake

        write_deltalake(place.reached["place"], rows)
    else:
        folder = Path(place.reached["place"], "rows")
        folder.mkdir(parents=True)
        with pq.ParquetWriter(folder / "part.parquet", data.SCHEMA, compression="zstd") as writer:
            for batch in rows:
                writer.write_batch(batch)


def _load_data(rows: pa.RecordBatchReader, place: Store, output: Path) -> None:
    """LOAD DATA LOCAL INFILE of a file that Arrow writes."""
    import pymysql
    from pyarrow import csv

    output.mkdir(parents=True, exist_ok=True)
    path = output / "orders.csv"
    plain = data.SCHEMA.set(5, pa.field("placed_at", pa.timestamp("us")))
    with csv.CSVWriter(path, plain, write_options=csv.WriteOptions(include_header=False)) as writer:
        for batch in rows:
            writer.write_batch(batch.set_column(5, "placed_at", batch.column(5).cast(pa.timestamp("us"))).cast(plain))
    connection = pymysql.connect(**place.reached, local_infile=True)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE test.orders CHARACTER SET utf8mb4 "
            f"FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ({_COLUMNS})"
        )
        connection.commit()
    path.unlink()


HOW = {"ours": _ours, "beam": _beam, "bulk": _bulk}


def main() -> None:
    """Write the orders, and what the store holds of them."""
    source, output, name, how = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
    with stores.store(name, output) as place:
        HOW[how](source, name, place, output)
        tell(place, output)


def tell(place: Store, output: Path) -> None:
    """Write what the store holds, to be compared."""
    rows, ids, cents = place.totals()
    (output / "totals").mkdir(parents=True)
    pq.write_table(pa.table({"rows": [rows], "ids": [ids], "cents": [cents]}), output / "totals" / "all.parquet")


if __name__ == "__main__":
    main()
