from __future__ import annotations

import errno
import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.provenance import CSV_HEADER, FAILURES, RECORD_FORMAT
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.content import ReadOptions, read_content, read_lines


class Row(NamedTuple):
    position: int
    payload: bytes
    rule: str = ""


class Read(NamedTuple):
    rows: list[Row]
    metadata: dict[bytes, bytes]


def read(content: bytes | BinaryIO, path: str = "data", **options: object) -> Read:
    rows: list[Row] = []
    metadata: dict[bytes, bytes] = {}
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    for batch in read_content(file, path, ReadOptions(**options)):  # type: ignore[arg-type]
        assert batch.num_rows
        assert batch.column("__source").to_pylist() == [path] * batch.num_rows
        rules = [""] * batch.num_rows
        if FAILURES in batch.schema.names:
            failures = batch.column(FAILURES).to_pylist()
            rules = [failure["rule"] for (failure,) in failures]
            assert all(failure["message"].startswith(f"{path}: ") for (failure,) in failures)
        columns = batch.column("__position").to_pylist(), batch.column("__payload").to_pylist(), rules
        rows += [Row(*row) for row in zip(*columns, strict=True)]
        metadata = batch.schema.metadata
    return Read(rows, metadata)


def test_records_keep_their_bytes_and_say_where_they_stood() -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\n \t\r\n{"\xff": "\x00"}\n  {}  '
    rows, metadata = read(content)
    assert rows == [Row(3, b'{"a": 1}'), Row(18, b'{"\xff": "\x00"}'), Row(29, b"  {}  ")]
    assert metadata == {RECORD_FORMAT: b"jsonl"}


def test_the_header_of_csv_is_metadata_and_no_row() -> None:
    rows, metadata = read(b'\xef\xbb\xbf\r\na,"b\nc"\r\n1,2\r\n\r\n3,"4\n5"\n', "data.csv")
    assert rows == [Row(14, b"1,2"), Row(21, b'3,"4\n5"')]
    assert metadata == {RECORD_FORMAT: b"csv", CSV_HEADER: b'a,"b\nc"'}


def test_without_a_header_every_csv_record_is_a_row() -> None:
    rows, metadata = read(b"1,2\n3,4", "data.csv", dialect=CsvDialect(header=False))
    assert [row.payload for row in rows] == [b"1,2", b"3,4"]
    assert metadata == {RECORD_FORMAT: b"csv"}


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n", gzip.compress(b"", mtime=0), zstandard.compress(b"")]
)
def test_an_empty_file_has_no_rows(content: bytes) -> None:
    assert read(content).rows == []


@pytest.mark.parametrize("content", [b"a,b", b"a,b\n", b"\xef\xbb\xbfa,b\r\n", gzip.compress(b"a,b\n", mtime=0)])
def test_a_file_with_only_a_header_has_no_rows(content: bytes) -> None:
    assert read(content, "data.csv").rows == []


def test_a_header_whose_quote_never_closes_is_the_first_line() -> None:
    rows, metadata = read(b'a,"b\n1,2\n', "data.csv")
    assert rows == [Row(5, b"1,2")]
    assert metadata[CSV_HEADER] == b'a,"b'


def test_a_header_that_is_too_long_is_refused_and_none_takes_its_place() -> None:
    rows, metadata = read(b"a,bcdef\n1,2\n", "data.csv", max_record_bytes=4)
    assert rows == [
        Row(0, b"a,bc", "file.record_too_long"),
        Row(4, b"def", "file.record_too_long"),
        Row(8, b"1,2"),
    ]
    assert metadata[CSV_HEADER] == b""


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compression_changes_neither_records_nor_positions(pack: Callable[[bytes], bytes]) -> None:
    content = b"".join(b'{"id": %d}\n' % number for number in range(50_000))
    assert read(pack(content), "wrong.csv") == read(content, "right.jsonl")


def test_batches_keep_both_bounds_and_have_nearly_equal_sizes() -> None:
    content = b"".join(b"%1000d\n" % number for number in range(1000))
    options = ReadOptions(max_batch_rows=300, max_batch_bytes=1 << 20)
    assert [batch.num_rows for batch in read_content(io.BytesIO(content), "f", options)] == [250] * 4
    options = ReadOptions(max_batch_bytes=100_000)
    batches = list(read_content(io.BytesIO(content), "f", options))
    assert max(batch.nbytes for batch in batches) <= 100_000
    assert sum(batch.num_rows for batch in batches) == 1000


def test_what_a_truncated_file_holds_is_kept_and_the_cut_record_is_refused() -> None:
    content = b"".join(b'{"id": %d, "square": %d}\n' % (number, number**2) for number in range(50_000))
    stored = gzip.compress(content)
    *rows, last = read(stored[: len(stored) // 2]).rows
    assert b"".join(row.payload + b"\n" for row in rows) + last.payload == content[: last.position + len(last.payload)]
    assert len(rows) > 10_000
    assert last.rule == "file.truncated"
    assert last.position == rows[-1].position + len(rows[-1].payload) + 1


def test_damage_between_two_records_still_leaves_a_letter() -> None:
    compressor = zstandard.ZstdCompressor().compressobj()
    stored = compressor.compress(b'{"a": 1}\n') + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    assert read(stored).rows == [Row(0, b'{"a": 1}'), Row(9, b"", "file.truncated")]


def test_stored_bytes_that_are_not_decompressed_are_kept_in_pieces() -> None:
    stored = gzip.compress(b'{"a": 1}\n{"a"')
    rows = read(stored + b"garbage", max_record_bytes=12).rows
    place = len(stored)
    assert rows == [
        Row(0, b'{"a": 1}'),
        Row(9, b'{"a"', "file.corrupt"),
        Row(place, b"garbage", "file.undecodable"),
    ]


class FailsAt(io.BytesIO):
    """A file on a medium that gives so many bytes."""

    def __init__(self, content: bytes, place: int, error: int) -> None:
        super().__init__(content)
        self.place, self.error = place, error

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self.place:
            raise OSError(self.error, "the medium's words")
        return super().read(min(size or 0, self.place - self.tell()))


@pytest.mark.parametrize(
    "content", [b'{"a": 1}\n{"a": 2}\n', gzip.compress(b'{"a": 1}\n{"a', mtime=0)[:-8] + bytes(100)]
)
def test_a_medium_that_fails_costs_the_record_in_hand(content: bytes) -> None:
    place = 12 if content.startswith(b"{") else len(content) - 100
    rows = read(FailsAt(content, place, errno.EIO)).rows
    assert rows == [Row(0, b'{"a": 1}'), Row(9, rows[1].payload, "file.unreadable")]
    assert rows[1].payload == b'{"a'


def test_a_medium_that_fails_in_a_range_costs_that_range() -> None:
    for start in (0, 3):
        file = FailsAt(b"aaaa\nb\nccccccc\n", 6, errno.EIO)
        *_, last = read_lines(file, "f", start, 9, ReadOptions())
        assert last.column("__payload").to_pylist() == [b"b"]
        assert last.column(FAILURES).to_pylist()[0][0]["rule"] == "file.unreadable"
    (last,) = read_lines(FailsAt(b"aaaa\nb\nccccccc\n", 0, errno.EIO), "f", 3, 9, ReadOptions())
    assert last.column("__payload").to_pylist() == [b""]


def test_an_error_that_may_pass_is_no_dead_letter() -> None:
    with pytest.raises(OSError, match=r"can't read 'data' at byte 12: .*the medium's words") as error:
        read(FailsAt(b'{"a": 1}\n{"a": 2}\n', 12, errno.ETIMEDOUT))
    assert error.value.errno == errno.ETIMEDOUT


def test_a_file_that_shrank_since_it_was_listed_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="'f' has become shorter than 10 bytes"):
        list(read_lines(io.BytesIO(b"a\n"), "f", 10, None, ReadOptions()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "jsnl"}, "--format: 'jsnl' is not known. Did you mean 'jsonl'?"),
        ({"compression": "gz"}, "--compression: 'gz' is not known"),
        ({"max_record_bytes": 0}, "max_record_bytes: 0 is not allowed"),
        ({"max_record_bytes": 1 << 31}, "at most 1073741824"),
        ({"max_batch_rows": 0}, "max_batch_rows: 0 is not allowed"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        ReadOptions(**options)  # type: ignore[arg-type]
    assert message in str(error.value)


SCRAPS = st.lists(
    st.binary(max_size=6)
    | st.sampled_from(
        [b"\n", b"\r\n", b'"', b',"', b'"",', b"{}", b"\xef\xbb\xbf", b"a,b\n", b"\x00", b'{"a":1}\n', b" "]
    )
).map(b"".join)
PATHS = st.sampled_from(["data", "data.csv", "data.jsonl", "data.csv.gz"])
FORMAT = st.sampled_from(["fixed", "jsonl", "csv"])
BOUND = st.integers(1, 30) | st.just(1 << 20)


@settings(max_examples=300, deadline=None)
@given(SCRAPS, PATHS, FORMAT, BOUND)
@example(b"\xef\xbb\xbf", "data.csv", "csv", 1)
def test_no_byte_of_any_content_is_lost_or_altered(content: bytes, path: str, format: str, most: int) -> None:
    rows, metadata = read(content, path, format=format, compression="none", max_record_bytes=most)
    at = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    header = metadata.get(CSV_HEADER, b"")
    if not rows:  # a lone header, which is nowhere
        assert format == "csv" or not content[at:].strip(b" \t\r\n")
        return
    for row in sorted(rows):
        between = content[at : row.position]
        if header:
            assert header in between
            between = between.replace(header, b"", 1)
            header = b""
        assert not between.strip(b" \t\r\n")
        at = row.position + len(row.payload)
        assert content[row.position : at] == row.payload
        assert len(row.payload) <= most
    assert not content[at:].strip(b" \t\r\n")


@settings(max_examples=200, deadline=None)
@given(SCRAPS, st.sampled_from([gzip.compress, zstandard.compress]), st.integers(0, 200), st.binary(max_size=9), BOUND)
def test_reading_ends_and_keeps_what_is_whole_however_a_compressed_file_is_broken(
    content: bytes,
    pack: Callable[[bytes], bytes],
    place: int,
    noise: bytes,
    most: int,
) -> None:
    stored = pack(b"{}\n" + content)
    place %= len(stored) + 1
    broken = stored[:place] + noise
    rows, _ = read(broken, "f.jsonl", format="jsonl", max_record_bytes=most)
    for row in rows:
        if row.rule == "file.undecodable":
            assert broken[row.position : row.position + len(row.payload)] == row.payload
    if broken != stored and broken.startswith(stored):
        assert b"".join(row.payload for row in rows if row.rule == "file.undecodable") == noise.lstrip(
            b"\0" * (pack is gzip.compress)
        )


def test_memory_stays_flat_for_a_long_line_and_for_a_compressed_file(tmp_path: Path) -> None:
    line = tmp_path / "line.jsonl"
    with line.open("wb") as file:
        for _ in range(100):
            file.write(b"x" * (1 << 20))
    packed = tmp_path / "packed.jsonl.gz"
    with gzip.open(packed, "wb", compresslevel=1) as file:
        for _ in range(50):
            file.write(b'{"a": 1}  \n' * 100_000)
    for path in (line, packed):
        content_bytes = 0
        arrow_peak = 0
        tracemalloc.start()
        with path.open("rb") as file:
            for batch in read_content(file, path.name, ReadOptions()):
                content_bytes += pc.sum(pc.binary_length(batch.column("__payload"))).as_py()
                arrow_peak = max(arrow_peak, pa.total_allocated_bytes())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert content_bytes >= 50_000_000
        assert peak + arrow_peak < 100 << 20
