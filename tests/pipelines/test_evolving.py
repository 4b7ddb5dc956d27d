"""Unknown fields that a contract keeps are in the lake, in both pipelines, whatever steps are between."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from beam_pipelines.launch.cli import main

CONTRACT = """\
apiVersion: v3.0.2
kind: DataContract
id: s
name: S
version: 1.0.0
status: active
schema:
  - name: s
    properties:
      - {name: id, logicalType: integer, required: true}
    customProperties:
      - {property: onSchemaChange, value: evolve}
"""


@pytest.mark.parametrize(
    ("pipeline", "more", "extra"),
    [
        ("files_to_lake", [], '{"x":2}'),
        ("event_analytics", ["--aggregate", "count(*) as n"], '{"x":2}'),
        ("event_analytics", ["--select", "id"], None),
    ],
)
def test_unknown_fields_are_kept(tmp_path: Path, pipeline: str, more: list[str], extra: str | None) -> None:
    (tmp_path / "c.yaml").write_text(CONTRACT)
    (tmp_path / "a.jsonl").write_text('{"id":1,"x":2}\n')
    (tmp_path / "b.jsonl").write_text('{"id":2}\n')
    arguments = ["--input", f"{tmp_path}/*.jsonl", "--contract", f"{tmp_path}/c.yaml", "--output", f"{tmp_path}/lake"]
    assert main(["run", pipeline, *arguments, *more]) == 0
    rows = duckdb.sql(f"SELECT id, _extra FROM '{tmp_path}/lake/rows/*.parquet' ORDER BY id").fetchall()
    assert rows == [(1, extra), (2, None)]
