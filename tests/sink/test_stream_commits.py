"""What a stream publishes bit by bit: once, whatever is tried again, and nothing that a bundle took back."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from beam_pipelines import ledger
from beam_pipelines.errors import UsageError
from beam_pipelines.sink import committed_manifest, stream_commits
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter, write_empty
from beam_pipelines.sink.runs import BalanceError, RunIdentity
from beam_pipelines.sink.stream_commits import StreamRecord

RUN = RunIdentity("run-1", "test", "f1")
SCHEMA = pa.schema([("n", pa.int64())])
READ = ("", "Read", ledger.READ, "")


def _clock() -> datetime:
    return datetime(2024, 1, 1, tzinfo=timezone.utc)


def _record(lake: Path, name: str, *numbers: int, read: int | None = None) -> StreamRecord:
    layout = FolderLayout(str(lake), RUN.run_id, "rows", SCHEMA)
    writer = FolderWriter(layout)
    writer.write(pa.record_batch({"n": list(numbers)}, SCHEMA))
    count = len(numbers) if read is None else read
    return StreamRecord(name, (*writer.close(), write_empty(layout)), ((READ, count),))


def _rows(lake: Path) -> list[int]:
    folder = lake / "rows"
    return sorted(ds.dataset(folder).to_table()["n"].to_pylist()) if folder.exists() else []


def test_a_record_is_published_once_however_often_it_is_tried(tmp_path: Path) -> None:
    first, second = _record(tmp_path, "a", 1, 2), _record(tmp_path, "b", 3)
    _record(tmp_path, "taken back", 1, 2, 3)
    assert _rows(tmp_path) == []
    stream_commits.publish(str(tmp_path), RUN.run_id, [first])
    assert _rows(tmp_path) == [1, 2]
    stream_commits.publish(str(tmp_path), RUN.run_id, [first, second])
    stream_commits.publish(str(tmp_path), RUN.run_id, [second])
    assert _rows(tmp_path) == [1, 2, 3]
    assert {record.id for record in stream_commits.published(str(tmp_path), RUN.run_id)} == {"a", "b"}


def test_one_killed_between_moving_and_naming_goes_on(tmp_path: Path) -> None:
    record = _record(tmp_path, "a", 1, 2)
    file = record.files[0]
    final = tmp_path / file.path
    final.parent.mkdir()
    (tmp_path / "_runs/run-1/tmp" / file.path).rename(final)
    stream_commits.publish(str(tmp_path), RUN.run_id, [record])
    assert _rows(tmp_path) == [1, 2]


def test_at_the_end_all_records_are_one_manifest_and_what_nobody_named_is_gone(tmp_path: Path) -> None:
    first, second = _record(tmp_path, "a", 1, 2), _record(tmp_path, "b", 3)
    _record(tmp_path, "taken back", 1, 2, 3)
    stream_commits.publish(str(tmp_path), RUN.run_id, [first])
    manifest = stream_commits.end(str(tmp_path), RUN, [second], {}, _clock)
    assert manifest == committed_manifest(str(tmp_path), RUN.run_id)
    assert manifest["balance"]["read"] == manifest["balance"]["written"] == 3
    assert sorted(file["rows"] for file in manifest["files"]) == [1, 2]
    assert stream_commits.end(str(tmp_path), RUN, [second], {}, _clock) == manifest
    left = {path.name for path in (tmp_path / "_runs/run-1").iterdir()}
    assert left == {"balance.json", "manifest.json"}
    # An attempt from before the end that wakes up late changes nothing.
    stream_commits.publish(str(tmp_path), RUN.run_id, [_record(tmp_path, "c", 3)])
    assert _rows(tmp_path) == [1, 2, 3]


def test_a_stream_without_rows_leaves_one_empty_file(tmp_path: Path) -> None:
    layout = FolderLayout(str(tmp_path), RUN.run_id, "rows", SCHEMA)
    record = StreamRecord("a", (write_empty(layout),), ((READ, 0),))
    manifest = stream_commits.end(str(tmp_path), RUN, [record], {}, _clock)
    assert [file["rows"] for file in manifest["files"]] == [0]
    assert ds.dataset(tmp_path / "rows").schema.equals(SCHEMA)


def test_a_stream_whose_source_never_began_has_no_manifest(tmp_path: Path) -> None:
    layout = FolderLayout(str(tmp_path), RUN.run_id, "rows", SCHEMA)
    with pytest.raises(BalanceError, match="ended the stream before its source began"):
        stream_commits.end(str(tmp_path), RUN, [StreamRecord("a", (write_empty(layout),), ())], {}, _clock)
    assert committed_manifest(str(tmp_path), RUN.run_id) is None


def test_a_stream_that_does_not_balance_has_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(BalanceError, match="rows: read 3 is not 2 written"):
        stream_commits.end(str(tmp_path), RUN, [_record(tmp_path, "a", 1, 2, read=3)], {}, _clock)
    assert committed_manifest(str(tmp_path), RUN.run_id) is None


def test_a_stream_that_was_begun_is_not_begun_again(tmp_path: Path) -> None:
    stream_commits.refuse_begun(str(tmp_path), RUN.run_id)
    stream_commits.publish(str(tmp_path), RUN.run_id, [_record(tmp_path, "a", 1)])
    with pytest.raises(UsageError, match=r"'run-1' is a stream that was begun in .* and hasn't ended"):
        stream_commits.refuse_begun(str(tmp_path), RUN.run_id)
    stream_commits.end(str(tmp_path), RUN, [], {}, _clock)
    stream_commits.refuse_begun(str(tmp_path), RUN.run_id)


def test_a_record_travels_as_text(tmp_path: Path) -> None:
    record = _record(tmp_path, "a", 1)
    assert StreamRecord.from_json(record.to_json()) == record
    assert json.loads(record.to_json())["id"] == "a"
