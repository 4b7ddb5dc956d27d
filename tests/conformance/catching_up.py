"""The road of `files_to_lake`: files of every format in two runs, and what the lake must hold after each."""

from __future__ import annotations

import bz2
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import orc

from beam_pipelines.launch.cli import main

CONTRACT = """\
apiVersion: v3.0.2
kind: DataContract
id: readings
name: Readings
version: 1.0.0
status: active
schema:
  - name: readings
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: site, logicalType: string, required: true, partitioned: true, partitionKeyPosition: 1}
      - {name: value, logicalType: number, physicalType: "decimal(9,3)", logicalTypeOptions: {minimum: 0}}
    customProperties:
      - {property: deduplicate, value: true}
"""
_PER_FILE = 40


def _reading(number: int) -> dict[str, Any]:
    return {"id": number, "site": ("north", "süd")[number % 2], "value": Decimal(number).scaleb(-3)}


def _text(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"value": str(row["value"])}


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(
        rows, pa.schema([("value", pa.decimal128(12, 3)), ("site", pa.string()), ("id", pa.int32())])
    )


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(_table(rows), file, row_group_size=15)
    return file.getvalue()


def _orc(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    orc.write_table(_table(rows), file)
    return file.getvalue()


def _avro(rows: list[dict[str, Any]]) -> bytes:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}
    fields = [{"name": "id", "type": "long"}, {"name": "site", "type": "string"}, {"name": "value", "type": decimal}]
    file = io.BytesIO()
    fastavro.writer(file, {"type": "record", "name": "r", "fields": fields}, rows, codec="deflate", sync_interval=200)
    return file.getvalue()


def _xml(rows: list[dict[str, Any]]) -> bytes:
    inside = "".join(f"<r id='{row['id']}'><site>{row['site']}</site><value>{row['value']}</value></r>" for row in rows)
    return f"<rs>{inside}</rs>".encode()


def _json(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps([_text(row) for row in rows], indent=1).encode()


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return bz2.compress(b"".join(json.dumps(_text(row)).encode() + b"\n" for row in rows))


_FIRST = {"a.parquet": _parquet, "b.orc": _orc, "c.avro": _avro}
_SECOND = {"d.xml": _xml, "e.json": _json, "f.jsonl.bz2": _lines}


def _rows(place: int) -> list[dict[str, Any]]:
    """Those of one file; the last is there twice, and the first is refused."""
    rows = [_reading(place * 100 + number) for number in range(_PER_FILE)]
    return [rows[0] | {"value": Decimal(-1)}, *rows[1:], rows[-1]]


def run(folder: Path, lake: Path, flags: list[str]) -> None:
    """Run the pipeline as a user does, add files, and run it again."""
    inputs = folder / "in"
    inputs.mkdir(parents=True)
    (folder / "readings.odcs.yaml").write_text(CONTRACT)
    for number, files in enumerate((_FIRST, _SECOND)):
        for place, (name, code) in enumerate(files.items()):
            (inputs / name).write_bytes(code(_rows(number * 3 + place)))
        arguments = ["--input", f"{inputs}/*", "--contract", f"{folder}/readings.odcs.yaml", "--output", str(lake)]
        code = main(["run", "files_to_lake", *arguments, "--run_id", f"run-{number}", *flags])
        if code:
            raise SystemExit(f"files_to_lake ended with exit code {code}")


def expected() -> dict[str, Any]:
    """What the lake must hold after both runs."""
    rows = [row for place in range(6) for row in _rows(place)[1:-1]]
    counts = {"read": 3 * (_PER_FILE + 1), "written": 3 * (_PER_FILE - 1), "dead_lettered": 3, "duplicate": 3}
    return {
        "rows": sorted((row["id"], row["site"], row["value"]) for row in rows),
        "runs": [counts, counts],
        "files": [sorted(_FIRST), sorted(_SECOND)],
    }


def found(lake: Path) -> dict[str, Any]:
    """What it holds."""
    site = ds.partitioning(pa.schema({"site": pa.string()}), flavor="hive")
    rows = ds.dataset(lake / "rows", format="parquet", partitioning=site).to_table().to_pylist()
    manifests = [json.loads((lake / f"_runs/run-{number}/manifest.json").read_text()) for number in (0, 1)]
    headline = ("read", "written", "dead_lettered", "duplicate")
    return {
        "rows": sorted((row["id"], row["site"], row["value"]) for row in rows),
        "runs": [{name: manifest["balance"][name] for name in headline} for manifest in manifests],
        "files": [sorted(Path(path).name for path, _, _ in manifest["inputs"]["read"]) for manifest in manifests],
    }
