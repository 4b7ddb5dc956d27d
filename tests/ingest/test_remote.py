"""What only file systems without folders do, on one of Beam's own kind that keeps its files in memory."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import BinaryIO

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest import InputFile, ReadFiles, list_inputs
from beam_pipelines.ingest.streams.watched import WatchedFiles
from beam_pipelines.ingest.watch_files import pattern_of
from beam_pipelines.uris import parse_uri

CONTENT = b"".join(b'{"id": %d}\n' % number for number in range(1000))
FILES = {
    "inmem://bucket/2024/a.jsonl": CONTENT,
    "inmem://bucket/2024/b[1].csv": b"id\n1\n",
    "inmem://bucket/c.csv": b"",
}


class InMemory(FileSystem):
    """A file system of objects whose names have slashes in them."""

    @classmethod
    def scheme(cls) -> str:
        return "inmem"

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        if dir_or_prefix.startswith("inmem://secret"):
            raise BeamIOError("List failed", {dir_or_prefix: PermissionError("403: no storage.objects.list")})
        return (self.metadata(path) for path in FILES if path.startswith(dir_or_prefix))

    def exists(self, path: str) -> bool:
        return path in FILES

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(FILES[path]))

    def open(self, path: str, mime_type: str = "", compression_type: str = "") -> BinaryIO:
        assert compression_type == "uncompressed"
        return io.BytesIO(FILES[path])

    def _unused(self, *args: object) -> None:
        raise NotImplementedError

    join = split = mkdirs = create = copy = rename = size = last_updated = checksum = delete = _unused


def test_objects_of_a_bucket_are_watched_for_though_they_have_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "watch+inmem://bucket/2024/*"
    monkeypatch.setitem(FILES, "inmem://bucket/2024/new.jsonl", b"1\n2\n")
    log = WatchedFiles((pattern_of(parse_uri(uri)),), every=0.1, settled=0.0).open(0, 1)
    known: dict[str, bool] = {}
    rows: dict[str, int] = {}
    for _ in range(2):
        time.sleep(0.1)
        for new in log.changes(known).new:
            polled = log.poll({new: 0}, 2000, 1 << 20)[0]
            rows[polled.batch.column("__source")[0].as_py()] = polled.position
            known[new] = polled.finished
        monkeypatch.setitem(FILES, "inmem://bucket/2024/newer.jsonl", b"3\n")
    place = "inmem://bucket/2024"
    assert rows == {
        f"{place}/a.jsonl": 1000,
        f"{place}/b[1].csv": 1,
        f"{place}/new.jsonl": 2,
        f"{place}/newer.jsonl": 1,
    }
    assert all(known.values())


def test_objects_are_listed_without_a_time_they_do_not_have() -> None:
    assert list_inputs("inmem://bucket/**") == [InputFile(path, len(FILES[path]), None) for path in sorted(FILES)]
    assert [file.path for file in list_inputs("inmem://bucket/2024/b[1].csv")] == ["inmem://bucket/2024/b[1].csv"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "inmem://bucket/2024",
            "'inmem://bucket/2024' is a folder: say which files in it, as in 'inmem://bucket/2024/*'",
        ),
        ("inmem://bucket/2024/", "is a folder"),
        ("inmem://bucket/2024/a.json", "matches no file. Did you mean 'inmem://bucket/2024/a.jsonl'?"),
        ("inmem://bucket/2024/*.avro", "matches no file. In 'inmem://bucket/2024' there is: a.jsonl, b[1].csv."),
        ("inmem://other/*", "matches no file. There is nothing in 'inmem://other'."),
        ("inmem://secret/*", "can't be listed: 403: no storage.objects.list"),
    ],
)
def test_what_names_no_object_is_an_error_that_says_what_is_near(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=r"^--input: ") as error:
        list_inputs(pattern)
    assert message in str(error.value)


def payloads(batch: pa.RecordBatch) -> list[bytes]:
    return batch.column("__payload").to_pylist()


def test_objects_are_read_in_ranges() -> None:
    def check(rows: list[bytes]) -> None:
        assert sorted(rows) == sorted([*CONTENT.splitlines(), b"1"])

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        rows = pipeline | ReadFiles("inmem://bucket/**", split_bytes=3000)
        _ = rows.good | beam.FlatMap(payloads) | beam.combiners.ToList() | beam.Map(check)
