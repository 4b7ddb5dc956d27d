"""DuckDB's side of workloads that are a query for each folder: `SOURCE OUTPUT FOLDER=SQL …`."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

if __name__ == "__main__":
    source, output, *queries = sys.argv[1:]
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    for folder, _, query in (each.partition("=") for each in queries):
        Path(output, folder).mkdir(parents=True)
        database.execute(f"COPY ({query}) TO '{output}/{folder}/part.parquet' (FORMAT parquet, COMPRESSION zstd)")
