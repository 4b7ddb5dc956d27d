"""A side for tests: writes the numbers in a file as Parquet, plus its argument."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

if __name__ == "__main__":
    source, output, *more = sys.argv[1:]
    folder = Path(output, "numbers")
    folder.mkdir(parents=True)
    numbers = [int(line) + sum(map(int, more)) for line in Path(source).read_text().split()]
    pq.write_table(pa.table({"n": numbers}), folder / "part.parquet")
