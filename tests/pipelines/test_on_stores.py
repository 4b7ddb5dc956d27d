"""A pipeline reads files of an object store and keeps its lake there: S3, Google Cloud Storage, Azure, HDFS."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.sink import committed_manifest, storage
from beam_pipelines.sink.care.inventory import live_files, manifests

CONTRACT = """\
apiVersion: v3.0.2
kind: DataContract
id: orders
name: Orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, required: true}
      - {name: country, logicalType: string, partitioned: true, partitionKeyPosition: 1}
      - {name: placed_at, logicalType: timestamp, required: true,
         customProperties: [{property: eventTime, value: true}]}
"""
ROWS, BAD = 40, 3


@pytest.fixture(params=["bucket", "gcs_bucket", "azure_container", "hdfs_folder"], ids=["s3", "gcs", "azure", "hdfs"])
def place(request: pytest.FixtureRequest) -> str:
    """A bucket."""
    found: str = request.getfixturevalue(request.param)
    return found


def _rows(place: str) -> pa.Table:
    files = [file for file in live_files(manifests(f"{place}/lake")) if file.folder == "rows"]
    tables = []
    for file in files:
        with storage.open_to_read(f"{place}/lake/{file.path}") as stored:
            tables.append(pq.read_table(stored))
    return pa.concat_tables(tables)


def test_a_run_reads_from_and_writes_to_a_store_once(
    request: pytest.FixtureRequest, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "orders.odcs.yaml").write_text(CONTRACT)
    rows = [
        {"id": n, "country": "DE" if n % 2 else "FR", "placed_at": f"2024-03-01T{n % 24:02}:00:00Z"}
        for n in range(ROWS)
    ]
    for part in range(2):
        lines = [json.dumps(row) for row in rows[part::2]] + ['{"id": "bad"}'] * (BAD if part else 0)
        storage.write(f"{place}/input/{part}.jsonl", "\n".join(lines).encode(), "")
    asked = ["--input", f"{place}/input/*.jsonl", "--contract", str(tmp_path / "orders.odcs.yaml")]
    asked += ["--output", f"{place}/lake", "--run_id", "one", "--window", "fixed:1d", "--group_by", "country"]
    asked += ["--aggregate", "count(*) as orders", "--runner", "FnApiRunner"]
    asked += request.getfixturevalue("hdfs") if place.startswith("hdfs") else []
    assert main(["run", "event_analytics", *asked]) == ExitCode.OK
    assert f"balanced: {ROWS + BAD} read = {ROWS} written + {BAD} dead-lettered" in capsys.readouterr().out
    assert sorted(_rows(place).column("id").to_pylist()) == list(range(ROWS))
    before = storage.list_below(f"{place}/lake")
    assert main(["run", "event_analytics", *asked]) == ExitCode.OK
    data = [path for path in storage.list_below(f"{place}/lake") if "/_runs/" not in path]
    assert data == [path for path in before if "/_runs/" not in path]
    assert committed_manifest(f"{place}/lake", "one") is not None
