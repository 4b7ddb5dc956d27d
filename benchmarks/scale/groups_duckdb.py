"""Rows written again and summed by key, in DuckDB."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

if __name__ == "__main__":
    source, output = sys.argv[1:]
    for folder in ("rows", "aggregates"):
        Path(output, folder).mkdir(parents=True)
    database = duckdb.connect()
    database.execute("SET preserve_insertion_order = false")
    for folder, query in (
        ("rows", f"SELECT * FROM '{source}'"),
        ("aggregates", f"SELECT k, count(*) AS events, sum(cents)::BIGINT AS total FROM '{source}' GROUP BY k"),
    ):
        database.execute(f"COPY ({query}) TO '{output}/{folder}/part.parquet' (FORMAT parquet, COMPRESSION zstd)")
