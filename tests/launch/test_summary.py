"""The lines at the end of a run, from its files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beam_pipelines import ledger
from beam_pipelines.launch import summary
from beam_pipelines.ledger import Balance, LedgerEntry


def _lake(
    tmp_path: Path, entries: list[LedgerEntry], files: list[dict[str, object]], **more: list[dict[str, object]]
) -> str:
    folder = tmp_path / "_runs/r1"
    folder.mkdir(parents=True)
    (folder / "balance.json").write_text(json.dumps(Balance.of(entries).to_json()))
    (folder / "manifest.json").write_text(json.dumps({"files": files, **more}))
    return str(tmp_path)


def _file(folder: str, path: str, rows: int, size: int) -> dict[str, object]:
    return {"folder": folder, "path": path, "rows": rows, "bytes": size}


def test_balance_rules_and_places_are_shown(tmp_path: Path) -> None:
    refused = {"required": 1000, "type": 20, "enum": 3, "json.malformed": 2, "maximum": 1, "minimum": 1}
    lake = _lake(
        tmp_path,
        [
            ledger.entry("ReadFiles", ledger.READ, 3027),
            ledger.entry("WriteRows", ledger.WRITTEN, 2000, output=ledger.ROWS),
            *(ledger.entry("Validate", ledger.DEAD_LETTERED, rows, rule) for rule, rows in refused.items()),
            ledger.entry("WriteDeadLetters", ledger.DEAD_LETTERS_WRITTEN, 1027),
            ledger.entry("Aggregate", ledger.AGGREGATED, 2000),
            ledger.entry("Aggregate", ledger.IN_PANES, 2000),
        ],
        [
            _file("rows", "rows/day=1/r1-a.parquet", 1500, 1_400_000),
            _file("rows", "rows/day=2/r1-b.parquet", 500, 600_000),
            _file("dead_letters", "/elsewhere/dead_letters/r1-c.parquet", 1027, 999),
            _file("aggregates", "aggregates/r1-d.parquet", 24, 3_100),
        ],
    )
    assert list(summary.lines(lake, "r1")) == [
        "balanced: 3,027 read = 2,000 written + 1,027 dead-lettered",
        "aggregated: 2,000 = 2,000 in windows + 0 late",
        "dead letters by rule:",
        "  1,000  required",
        "     20  type",
        "      3  enum",
        "      2  json.malformed",
        "      1  maximum",
        "  and 1 more rule",
        f"rows               {tmp_path}/rows/  2 files, 2,000 rows, 2.0 MB",
        f"aggregates         {tmp_path}/aggregates/  1 file, 24 rows, 3.1 kB",
        "dead letters       /elsewhere/dead_letters/  1 file, 1,027 rows, 999 bytes",
        f"balance, manifest  {tmp_path}/_runs/r1/",
    ]


def test_a_run_that_is_not_committed_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="_runs/r1"):
        list(summary.lines(str(tmp_path), "r1"))


def test_tables_are_shown_where_they_are(tmp_path: Path) -> None:
    table = {"output": "rows", "table": "iceberg://shop/sales.orders", "rows": 4, "snapshot": "1"}
    told = list(summary.lines(_lake(tmp_path, [], [], tables=[table]), "r1"))
    assert told[1] == "rows               iceberg://shop/sales.orders  4 rows"
