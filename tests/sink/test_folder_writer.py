import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.columnar.provenance import PAYLOAD, SOURCE_TYPE
from beam_pipelines.sink import formats, storage
from beam_pipelines.sink.encoding import Encoding
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter, temporary_prefix, write_empty
from beam_pipelines.sink.runs import OutputError

SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("country", pa.string())])


def layout(root, **settings):
    return FolderLayout(str(root), "run-1", "rows", SCHEMA, **settings)


def batch(start, rows, countries=("DE",)):
    ids = range(start, start + rows)
    return pa.record_batch(
        {"id": ids, "country": [countries[number % len(countries)] for number in ids]}, schema=SCHEMA
    )


def temporary(root):
    return sorted(Path(temporary_prefix(str(root), "run-1")).rglob("*.parquet"))


def read(root):
    return pa.concat_tables([pq.ParquetFile(path).read() for path in temporary(root)]).column("id").to_pylist()


def test_written_files_hold_the_rows_and_are_named_with_their_counts(tmp_path):
    writer = FolderWriter(layout(tmp_path))
    writer.write(batch(0, 10))
    writer.write(batch(10, 0))
    writer.write(batch(10, 5))
    (file,) = writer.close()
    (path,) = temporary(tmp_path)
    assert file.folder == "rows"
    assert file.root == str(tmp_path)
    assert path == Path(temporary_prefix(str(tmp_path), "run-1")) / file.path
    assert path.name.startswith("run-1-")
    assert (file.rows, file.counted, file.bytes) == (15, 0, path.stat().st_size)
    assert pq.read_schema(path).equals(SCHEMA)
    assert sorted(read(tmp_path)) == list(range(15))


def test_two_writers_of_the_same_rows_never_share_a_name(tmp_path):
    names = set()
    for _ in range(2):
        writer = FolderWriter(layout(tmp_path))
        writer.write(batch(0, 1))
        names |= {file.path for file in writer.close()}
    assert len(names) == 2


def test_no_rows_make_no_file(tmp_path):
    writer = FolderWriter(layout(tmp_path, partition_by=("country",)))
    writer.write(batch(0, 0))
    assert writer.close() == []
    assert temporary(tmp_path) == []


def test_row_groups_are_as_long_as_told_and_files_are_closed_at_their_size(tmp_path):
    writer = FolderWriter(layout(tmp_path, row_group_rows=100, file_bytes=1500, encoding=Encoding("parquet", "none")))
    for start in range(0, 1000, 25):
        writer.write(batch(start, 25))
    files = writer.close()
    assert len(files) > 2
    assert sorted(read(tmp_path)) == list(range(1000))
    groups = [
        pq.ParquetFile(path).metadata.row_group(number).num_rows
        for path in temporary(tmp_path)
        for number in range(pq.ParquetFile(path).num_row_groups)
    ]
    assert set(groups) == {100}


def test_wide_rows_make_shorter_row_groups(tmp_path):
    writer = FolderWriter(layout(tmp_path, row_group_bytes=10_000))
    for start in range(0, 100, 10):
        writer.write(batch(start, 10, countries=("x" * 500,)))
    (file,) = writer.close()
    assert file.rows == 100
    assert pq.ParquetFile(temporary(tmp_path)[0]).num_row_groups == 5


def test_open_files_and_held_bytes_stay_bounded_with_many_partitions(tmp_path, monkeypatch):
    being_written = []
    most = 0

    class Watched(formats.ParquetFile):
        def __init__(self, *args):
            nonlocal most
            super().__init__(*args)
            being_written.append(self)
            most = max(most, len(being_written))

        def close(self):
            super().close()
            being_written.remove(self)

    monkeypatch.setattr(formats, "ParquetFile", Watched)
    writer = FolderWriter(layout(tmp_path, partition_by=("country",), open_files=3, held_bytes=40_000))
    countries = [f"c{number}" for number in range(20)]
    held = []
    for start in range(0, 4000, 400):
        writer.write(batch(start, 400, countries))
        held.append(writer._held)
    files = writer.close()
    assert most == 3
    assert being_written == []
    assert max(held) <= 40_000
    assert len(files) > 20
    assert sorted(read(tmp_path)) == list(range(4000))
    assert sum(file.rows for file in files) == 4000


def test_a_waiting_slice_does_not_keep_the_batch_it_was_cut_from(tmp_path):
    writer = FolderWriter(layout(tmp_path))
    before = pa.total_allocated_bytes()
    for start in range(5):
        whole = batch(0, 1_000_000)
        writer.write(whole.slice(start, 10))
        del whole
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert writer.close()[0].rows == 50


def test_provenance_is_left_behind_and_panes_are_counted(tmp_path):
    rows = batch(0, 3)
    carried = pa.RecordBatch.from_arrays(
        [
            *rows.columns,
            pa.array([b"x"] * 3),
            pa.array(["f"] * 3).dictionary_encode().cast(SOURCE_TYPE),
            pa.array([10, None, 30], pa.int64()),
        ],
        names=["id", "country", PAYLOAD, "__source", "__rows"],
    )
    writer = FolderWriter(layout(tmp_path))
    writer.write(carried)
    (file,) = writer.close()
    assert (file.rows, file.counted) == (3, 40)
    assert pq.read_schema(temporary(tmp_path)[0]).names == ["id", "country"]


def test_counts_go_with_the_partition_of_their_pane(tmp_path):
    panes = batch(0, 4, ("DE", "FR")).append_column("__rows", pa.array([1, 10, 100, 1000]))
    writer = FolderWriter(layout(tmp_path, partition_by=("country",)))
    writer.write(panes)
    assert sorted(file.counted for file in writer.close()) == [101, 1010]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": [1]}, "rows: a batch has the columns id; the files have id, country"),
        ({"id": [1], "country": ["DE"], "new": [1]}, "a batch has the columns id, country, new"),
        ({"id": ["1"], "country": ["DE"]}, "rows: column 'id' is string; the files have int64"),
    ],
)
def test_columns_that_are_not_the_folders_are_never_dropped_in_silence(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        FolderWriter(layout(tmp_path)).write(pa.record_batch(columns))


def test_columns_in_another_order_are_put_right(tmp_path):
    writer = FolderWriter(layout(tmp_path))
    writer.write(pa.record_batch({"country": ["DE"], "id": [7]}))
    writer.close()
    assert read(tmp_path) == [7]


def test_an_aborted_writer_leaves_no_file_and_no_open_handle(tmp_path):
    writer = FolderWriter(layout(tmp_path, partition_by=("country",), row_group_rows=10, file_bytes=1))
    writer.write(batch(0, 100, ("DE", "FR")))
    writer.write(batch(100, 3))
    assert temporary(tmp_path)
    writer.abort()
    assert temporary(tmp_path) == []
    open_now = [target for fd in Path("/proc/self/fd").iterdir() if (target := _target(fd)).startswith(str(tmp_path))]
    assert open_now == []
    assert writer.close() == []


def _target(fd):
    try:
        return str(fd.readlink())
    except OSError:
        return ""


def test_an_empty_file_has_the_columns_and_lies_where_partitions_are_looked_for(tmp_path):
    file = write_empty(layout(tmp_path, partition_by=("country",)))
    assert file.path.startswith("rows/country=__HIVE_DEFAULT_PARTITION__/run-1-")
    assert (file.rows, file.counted) == (0, 0)
    (path,) = temporary(tmp_path)
    assert path.stat().st_size == file.bytes
    assert pq.read_schema(path).names == ["id"]


def test_a_full_disk_is_said_in_words(tmp_path, monkeypatch):
    # /dev/full is a disk that is always full.
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115  the writer closes it
    monkeypatch.setattr(storage, "create", lambda path: full)
    writer = FolderWriter(layout(tmp_path))
    writer.write(batch(0, 10))
    with pytest.raises(OutputError, match=r"--output: can't write .*/rows/run-1-.*: no space is left.*make room"):
        writer.close()
    writer.abort()


def test_a_size_limit_is_said_in_words(tmp_path):
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import pyarrow as pa
from beam_pipelines.sink.encoding import Encoding
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter
from beam_pipelines.sink.runs import OutputError
schema = pa.schema({{"id": pa.int64()}})
writer = FolderWriter(FolderLayout({str(tmp_path)!r}, "run-1", "rows", schema, encoding=Encoding("parquet", "none")))
writer.write(pa.record_batch({{"id": range(100000)}}))
try:
    writer.close()
except OutputError as full:
    writer.abort()
    print(full)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "no space is left, or a quota or size limit is reached" in done.stdout, done.stderr
    assert done.stderr == ""
    assert temporary(tmp_path) == []


def test_a_folder_that_can_not_be_made_is_said_in_words(tmp_path):
    (tmp_path / "_runs").write_text("in the way")
    writer = FolderWriter(layout(tmp_path))
    writer.write(batch(0, 1))
    with pytest.raises(OutputError, match=r"--output: can't write .*_runs/run-1/tmp/rows"):
        writer.close()
