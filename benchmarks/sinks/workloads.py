"""A workload for each sink."""

from __future__ import annotations

from benchmarks.sinks import data
from benchmarks.workload import Side, Table, Workload

_SIZES = (100_000, 1_000_000)


def _sink(store: str, title: str, says: str, bulk: tuple[str, str], beam: tuple[str, str] | None) -> Workload:
    sides = [
        Side("beam_pipelines", "benchmarks.sinks.side", "`WriteToTable`", arguments=(store, "ours")),
        Side(bulk[0], "benchmarks.sinks.side", bulk[1], arguments=(store, "bulk")),
    ]
    if store == "lake":
        sides[0] = Side("beam_pipelines", "benchmarks.sinks.side", "`WriteToLake`", arguments=(store, "ours"))
    if store in ("mariadb", "postgresql"):
        says_jdbc = "Beam's own connector, which is Java, on Prism"
        sides.append(Side("beam_jdbc", "benchmarks.sinks.jdbc", says_jdbc, slow=True, arguments=(store,)))
    if beam:
        sides.append(Side(beam[0], "benchmarks.sinks.side", beam[1], slow=True, arguments=(store, "beam")))
    return Workload(
        name=f"sink, {store}",
        title=title,
        says=f"Orders of seven columns, as Arrow batches from a Parquet file (rows for Beam's side), into {says}.",
        sides=tuple(sides),
        source=data.source,
        tables=(Table("totals", "rows, ids, cents"),),
        reference=bulk[0],
        sizes=_SIZES,
        quick=None,
    )


_SERVER = "The server is started by each side: its CPU time is part of the side's"
ALL = (
    _sink(
        "postgresql",
        "PostgreSQL",
        f"a table without an index. {_SERVER}",
        ("adbc_ingest", "the ADBC driver's own COPY, no Beam"),
        ("beam_executemany", "a DoFn: psycopg's `executemany` of 1,000 rows, FnApiRunner"),
    ),
    _sink(
        "mariadb",
        "MariaDB",
        f"a table without an index. {_SERVER}",
        ("load_data", "`LOAD DATA LOCAL INFILE` of a CSV file that Arrow writes, no Beam"),
        ("beam_executemany", "a DoFn: PyMySQL's `executemany` of 1,000 rows, FnApiRunner"),
    ),
    _sink(
        "lake",
        "a lake of Parquet",
        "Parquet files, zstd",
        ("parquet_writer", "pyarrow's ParquetWriter, no Beam"),
        ("beam_parquet", "`beam.io.WriteToParquet`, FnApiRunner"),
    ),
    _sink(
        "iceberg",
        "Iceberg",
        "a table of an SQL catalog in SQLite. Beam's own connector is Java, and not measured",
        ("pyiceberg", "`Table.append` of the whole, no Beam"),
        None,
    ),
    _sink(
        "delta",
        "Delta Lake",
        "a table in a folder. Beam has no connector in Python",
        ("write_deltalake", "`write_deltalake` of a stream of batches, no Beam"),
        None,
    ),
)
