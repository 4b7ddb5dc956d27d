"""What all tables have in common: rows that don't fit are letters, a commit's id counts once, a refused one fails."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines import WriteToTable
from beam_pipelines.errors import UsageError
from beam_pipelines.sink import committed_manifest
from beam_pipelines.sink.tables import known
from tests.sink.tables import shelf

SCHEMA = pa.schema([("id", pa.int64()), ("note", pa.string())])


@pytest.fixture(autouse=True)
def shelves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setitem(known.STORES, "shelf", shelf.__name__)
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


def _batch(*ids: int, note: str = "ok") -> pa.RecordBatch:
    return pa.record_batch({"id": list(ids), "note": [note] * len(ids)}, SCHEMA)


def _write(uri: str, staging: Path, *batches: pa.RecordBatch, expected: list[tuple[str, bytes]] | None = None) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = pipeline | beam.Create(batches)
        written = rows | WriteToTable(uri, SCHEMA, staging=str(staging), commit_id="run-1")
        letters = written.dead_letters | beam.FlatMap(
            lambda batch: [(row["rule"], row["payload"]) for row in batch.to_pylist()]
        )
        assert_that(letters, equal_to(expected or []))


def test_rows_are_there_once_however_often_a_commit_is_tried(shelves: Path, tmp_path: Path) -> None:
    _write(f"shelf://here{shelves}", tmp_path / "staging", _batch(1, 2), _batch(3))
    assert sorted(row["id"] for row in shelf.rows_in(shelves)) == [1, 2, 3]
    _write(f"shelf://here{shelves}", tmp_path / "staging", _batch(1, 2), _batch(3))
    _write(f"shelf://here{shelves}", tmp_path / "elsewhere", _batch(1, 2), _batch(3))
    assert sorted(row["id"] for row in shelf.rows_in(shelves)) == [1, 2, 3]


def test_staged_files_are_deleted_and_the_manifest_tells_the_commit(shelves: Path, tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    _write(f"shelf://here{shelves}", staging, _batch(1, 2))
    assert not list(staging.rglob("*.parquet"))
    manifest = committed_manifest(str(staging), "run-1")
    assert manifest is not None
    assert manifest["files"] == []
    assert manifest["tables"] == [
        {"output": "rows", "table": f"shelf://here/{shelves}", "rows": 2, "commit": "run-1-rows"}
    ]


def test_a_row_that_does_not_fit_is_a_dead_letter_and_the_others_are_written(shelves: Path, tmp_path: Path) -> None:
    long = _batch(7, note="a note too long")
    _write(
        f"shelf://here{shelves}?longest=5",
        tmp_path / "staging",
        pa.Table.from_batches([_batch(1), long, _batch(2)]).combine_chunks().to_batches()[0],
        expected=[("table.too_long", b'{"id":7,"note":"a note too long"}')],
    )
    assert sorted(row["id"] for row in shelf.rows_in(shelves)) == [1, 2]


def test_a_commit_without_rows_is_one_too(shelves: Path, tmp_path: Path) -> None:
    _write(f"shelf://here{shelves}", tmp_path / "staging", _batch())
    assert [file.name for file in shelves.iterdir()] == ["run-1-rows.json"]


def test_what_the_store_refuses_fails_the_job_and_leaves_nothing_behind(shelves: Path, tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    with pytest.raises(Exception, match="refused"):
        _write(f"shelf://here{shelves}?refuse=true", staging, _batch(1))
    assert committed_manifest(str(staging), "run-1") is None
    assert not list(staging.rglob("*.parquet"))


def test_a_table_is_looked_at_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        WriteToTable(f"shelf://here{tmp_path}/none", SCHEMA, staging=str(tmp_path), commit_id="run-1")
    with pytest.raises(UsageError, match=r"\?longst is not an option of shelf://. Did you mean '\?longest'"):
        WriteToTable(f"shelf://here{tmp_path}?longst=3", SCHEMA, staging=str(tmp_path), commit_id="run-1")
    with pytest.raises(UsageError, match="'shelv://…': there is nothing for this scheme"):
        WriteToTable("shelv://here/table", SCHEMA, staging=str(tmp_path), commit_id="run-1")
