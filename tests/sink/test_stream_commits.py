"""What a stream publishes bit by bit: once, whatever is tried again, and nothing that a bundle took back."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from beam_pipelines import ledger
from beam_pipelines.errors import UsageError
from beam_pipelines.sink import committed_manifest, stream_commits
from beam_pipelines.sink.care.compacting import compact
from beam_pipelines.sink.care.inventory import live_files, published, where
from beam_pipelines.sink.care.rolling_back import rollback
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


def _followed(lake: Path, folder: str = "rows") -> list[int]:
    """What readers find who follow manifests and records."""
    live = live_files(published(str(lake)))
    return sorted(
        number
        for file in live
        if file.folder == folder
        for number in pq.ParquetFile(lake / file.path).read()["n"].to_pylist()
    )


def test_a_stream_is_compacted_while_it_goes_on_and_when_it_ends_its_rows_are_there_once(tmp_path: Path) -> None:
    lake = str(tmp_path)
    records = [_record(tmp_path, str(number), 2 * number, 2 * number + 1) for number in range(6)]
    stream_commits.publish(lake, RUN.run_id, records[:3])
    first = compact(lake, _clock())
    assert first is not None
    assert (len(first["replaces"]), len(first["files"])) == (3, 1)
    assert _followed(tmp_path) == _rows(tmp_path) == list(range(6))
    stream_commits.publish(lake, RUN.run_id, records[:5])  # the first three come again, from restored state
    assert _followed(tmp_path) == _rows(tmp_path) == list(range(10))
    second = compact(lake, datetime(2024, 1, 2, tzinfo=timezone.utc))
    assert second is not None
    assert len(second["replaces"]) == 3
    with pytest.raises(UsageError, match="'run-1' is a stream that has not ended"):
        rollback(lake, RUN.run_id, _clock())
    rollback(lake, second["run_id"], datetime(2024, 1, 3, tzinfo=timezone.utc))
    assert _followed(tmp_path) == _rows(tmp_path) == list(range(10))
    # The manifest comes after those that replace what it names.
    manifest = stream_commits.end(lake, RUN, records, {}, lambda: datetime(2025, 1, 1, tzinfo=timezone.utc))
    assert (manifest["balance"]["read"], len(manifest["files"])) == (12, 6)
    assert _followed(tmp_path) == _rows(tmp_path) == list(range(12))
    compact(lake, datetime(2026, 1, 1, tzinfo=timezone.utc))
    assert _followed(tmp_path) == _rows(tmp_path) == list(range(12))
    assert len(list((tmp_path / "rows").iterdir())) == 1
    assert sum(pq.ParquetFile(where(lake, file["path"])).metadata.num_rows for file in manifest["files"]) == 12


def test_rows_that_went_into_a_table_are_not_looked_for_in_the_lake(tmp_path: Path) -> None:
    record = _record(tmp_path, "a", 1, 2)._replace(in_tables=("rows",))
    (tmp_path / "_runs/run-1/stream").mkdir(parents=True)
    (tmp_path / "_runs/run-1/stream/a.json").write_text(record.to_json())
    assert live_files(published(str(tmp_path))) == []
    assert compact(str(tmp_path), _clock()) is None


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
