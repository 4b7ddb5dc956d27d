"""Rows of so many groups, and rows of so many columns."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts import cache

_ROW_GROUP = 250_000


def grouped(rows: int, groups: int) -> Path:
    """A Parquet file of keys and amounts: each key about as often as any other."""
    path = cache.folder("benchmarks") / f"groups-{groups}-{rows}.parquet"
    if not path.exists():
        chance = np.random.default_rng(3)
        keys = chance.permutation(np.arange(rows) % groups)
        table = pa.table({"k": keys, "cents": chance.integers(1, 100_000, rows)})
        pq.write_table(table, path, row_group_size=_ROW_GROUP)
    return path


def wide(rows: int, columns: int) -> Path:
    """A folder with JSON Lines of so many integers and texts in turn, and the contract of them."""
    folder = cache.folder("benchmarks") / f"columns-{columns}-{rows}"
    if not (folder / "rows.jsonl").exists():
        folder.mkdir(exist_ok=True)
        chance = random.Random(5)  # noqa: S311  a seed is what is wanted
        names = [f"c{number}" for number in range(columns)]
        (folder / "wide.odcs.yaml").write_text(_contract(names))
        with (folder / "rows.part").open("w") as file:
            for _ in range(rows):
                values = [chance.randrange(1_000_000) for _ in names]
                row = {
                    name: str(value) if number % 2 else value
                    for number, (name, value) in enumerate(zip(names, values, strict=True))
                }
                file.write(json.dumps(row) + "\n")
        (folder / "rows.part").rename(folder / "rows.jsonl")
    return folder


def _contract(names: list[str]) -> str:
    types = ("integer", "string")
    return "\n".join(
        [
            "apiVersion: v3.1.0",
            "kind: DataContract",
            "id: wide",
            "name: wide",
            "version: 1.0.0",
            "status: active",
            "schema:",
            "  - name: wide",
            "    properties:",
            *(
                f"      - {{name: {name}, logicalType: {types[number % 2]}, required: true}}"
                for number, name in enumerate(names)
            ),
            "",
        ]
    )
