"""JSON Lines of many columns to Parquet, in DuckDB; all rows are good, so its JSON reader does."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

if __name__ == "__main__":
    source, output = sys.argv[1:]
    Path(output, "rows").mkdir(parents=True)
    database = duckdb.connect()
    database.execute("SET preserve_insertion_order = false")
    database.execute(
        f"COPY (SELECT * FROM read_json('{source}/rows.jsonl', format = 'newline_delimited')) "
        f"TO '{output}/rows/part.parquet' (FORMAT parquet, COMPRESSION zstd)"
    )
