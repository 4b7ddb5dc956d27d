"""Read one file, or a range of it, as raw batches."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyarrow as pa

from beam_pipelines.columnar.batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS, split_to_bounds
from beam_pipelines.columnar.provenance import (
    CSV_HEADER,
    FAILURES,
    RECORD_FORMAT,
    XML_ENCODING,
    column_batch,
    raw_batch,
)
from beam_pipelines.dead_letters import failure, failures_column
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.ingest.avro_rows import read_avro
from beam_pipelines.ingest.bzip2_stream import unbzip2
from beam_pipelines.ingest.csv_records import csv_ends
from beam_pipelines.ingest.damage import Damage
from beam_pipelines.ingest.file_columns import ColumnRows
from beam_pipelines.ingest.gzip_stream import gunzip
from beam_pipelines.ingest.json_values import split_json
from beam_pipelines.ingest.orc_rows import read_orc
from beam_pipelines.ingest.parquet_rows import read_parquet
from beam_pipelines.ingest.records import UNCLOSED_QUOTE, Records, Refusal, line_ends, split_records
from beam_pipelines.ingest.sniff import BOM, HEAD_BYTES, tell_compression, tell_format
from beam_pipelines.ingest.stored import blocks_of, gather, peek, raising
from beam_pipelines.ingest.xml_encoding import as_utf8, xml_encoding
from beam_pipelines.ingest.xml_records import check_row_path, split_xml
from beam_pipelines.ingest.zstd_stream import unzstd

MAX_RECORD_BYTES = 16 << 20
"""Default bound of a record: with its provenance it stays far below any runner's bound of an element."""

LARGEST_RECORD_BYTES = 1 << 30
"""Highest bound there may be: Arrow's binary offsets count to 2 GiB."""

FORMATS = ("auto", "jsonl", "json", "csv", "fixed", "xml", "avro", "parquet", "orc")
COMPRESSIONS = ("auto", "none", "gzip", "zstd", "bzip2")

LINES = ("jsonl", "fixed")
"""Formats whose records are lines, so that plain files can be read in ranges."""

SEEKING = ("parquet", "orc")
"""Formats that are read from their end."""

_DECOMPRESS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "none": lambda blocks: blocks,
    "gzip": gunzip,
    "zstd": unzstd,
    "bzip2": unbzip2,
}

Cut = Iterator[Records | list[Refusal]]
Rows = Iterator[Records | ColumnRows | list[Refusal]]


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How files are read. UsageError for a value that isn't allowed."""

    format: str = "auto"
    compression: str = "auto"
    dialect: CsvDialect = dataclasses.field(default_factory=CsvDialect)
    max_record_bytes: int = MAX_RECORD_BYTES
    max_batch_rows: int = MAX_BATCH_ROWS
    max_batch_bytes: int = MAX_BATCH_BYTES
    columns: tuple[str, ...] | None = None
    """Columns that are read of Parquet, ORC and Avro; None for all."""
    xml_row: str | None = None

    def __post_init__(self) -> None:
        check_row_path(self.xml_row)
        for name, allowed in (("format", FORMATS), ("compression", COMPRESSIONS)):
            value = getattr(self, name)
            if value not in allowed:
                raise UsageError(f"--{name}: '{value}' is not known.{did_you_mean(value, allowed)}")
        for name, most in (
            ("max_record_bytes", LARGEST_RECORD_BYTES),
            ("max_batch_rows", None),
            ("max_batch_bytes", None),
        ):
            value = getattr(self, name)
            if value < 1 or (most is not None and value > most):
                raise UsageError(f"{name}: {value} is not allowed: at least 1{f', at most {most}' if most else ''}")


def tell_compression_of(head: bytes, path: str, options: ReadOptions) -> str:
    """Return how a file is compressed: as the options say, or by its first stored bytes."""
    return tell_compression(head, path) if options.compression == "auto" else options.compression


def tell_format_of(head: bytes, path: str, options: ReadOptions) -> str:
    """Return what a file holds: as the options say, or by its first bytes of content and its name."""
    if options.format != "auto":
        return options.format
    return tell_format(head, path, delimiter=options.dialect.delimiter.encode(), header=options.dialect.header)


def read_content(file: BinaryIO, path: str, options: ReadOptions) -> Iterator[pa.RecordBatch]:
    """Read a whole file as raw batches within the options' bounds.

    Batches of what can't be read as records have a column of failures. Metadata say the record format,
    and the header of CSV, which is no row. If that header's quote never closes it is the file's first
    line; if it is longer than a record may be it is refused, and the header is empty.
    """
    head, stored = peek(blocks_of(file, path), 4096)
    compression = tell_compression_of(head, path, options)
    stored = _DECOMPRESS[compression](stored)
    head, content = peek(stored, HEAD_BYTES)
    found = tell_format_of(head, path, options)
    if found in SEEKING:
        if compression != "none":
            raise UsageError(
                f"--input: '{path}' is {found.capitalize()} inside {compression}, which can't be read: decompress it "
                "first (it is compressed inside as it is)"
            )
        file.seek(0)
        yield from read_row_groups(file, path, found, (0, None), options)
        return
    if found == "avro":
        rows = read_avro(content, path, options.columns, options.max_batch_rows, options.max_record_bytes)
        yield from _batches(rows, path, {}, options)
        return
    if found == "xml":
        encoding = xml_encoding(head)
        cut = split_xml(
            as_utf8(gather(content), encoding),
            options.xml_row,
            max_record_bytes=options.max_record_bytes,
            encoding=encoding,
        )
        metadata = {RECORD_FORMAT: b"xml"} | ({} if encoding is None else {XML_ENCODING: encoding.encode()})
        yield from _batches(cut, path, metadata, options)
        return
    blocks, position = _without_bom(gather(content), head)
    if found == "json":
        cut = split_json(blocks, position=position, max_record_bytes=options.max_record_bytes)
        yield from _batches(cut, path, {RECORD_FORMAT: b"jsonl"}, options)
        return
    if found in LINES:
        cut = split_records(blocks, line_ends, position=position, max_record_bytes=options.max_record_bytes)
        yield from _batches(cut, path, {RECORD_FORMAT: found.encode()}, options)
        return
    find_ends = csv_ends(
        delimiter=options.dialect.delimiter.encode(),
        quote=options.dialect.quote.encode(),
        max_record_bytes=options.max_record_bytes,
    )
    cut = split_records(
        blocks, find_ends, position=position, max_record_bytes=options.max_record_bytes, skip_blank=False
    )
    metadata = {RECORD_FORMAT: b"csv"}
    if options.dialect.header:
        metadata[CSV_HEADER], cut = _take_header(cut)
    yield from _batches(cut, path, metadata, options)


def read_range(
    file: BinaryIO, path: str, format: str, start: int, stop: int | None, options: ReadOptions
) -> Iterator[pa.RecordBatch]:
    """Read a range of a plain file: row groups [start, stop) of Parquet, else what starts in those bytes.

    RuntimeError when the file doesn't reach to `start` any more.
    """
    if format in SEEKING:
        yield from read_row_groups(file, path, format, (start, stop), options)
    elif format == "avro":
        rest = (_from(file, path, start), start) if start else None
        rows = read_avro(
            blocks_of(file, path),
            path,
            options.columns,
            options.max_batch_rows,
            options.max_record_bytes,
            rest=rest,
            stop=stop,
        )
        yield from _batches(rows, path, {}, options)
    else:
        yield from read_lines(file, path, start, stop, options, format)


def read_row_groups(
    file: BinaryIO, path: str, format: str, groups: tuple[int, int | None], options: ReadOptions
) -> Iterator[pa.RecordBatch]:
    """Read row groups of a Parquet file, or an ORC file."""
    if format == "parquet":
        rows: Rows = read_parquet(file, path, options.columns, groups, options.max_batch_rows, options.max_batch_bytes)
    else:
        rows = read_orc(file, path, options.columns)
    yield from _batches(rows, path, {}, options)


def read_lines(
    file: BinaryIO, path: str, start: int, stop: int | None, options: ReadOptions, format: str = "jsonl"
) -> Iterator[pa.RecordBatch]:
    """Read the lines of a plain file that start in [start, stop), as `read_content` does.

    RuntimeError when the file doesn't reach to `start` any more.
    """
    position = max(start - 1, 0)
    file.seek(position)
    blocks = gather(blocks_of(file, path, position))
    if start:
        try:
            position, blocks = _next_line(blocks, position, stop)
        except Damage as damage:
            position, blocks = damage.offset, raising(damage)
        else:
            if position < start:
                message = f"'{path}' has become shorter than {start} bytes since the run listed it: run it again"
                raise RuntimeError(message)
    else:
        head, blocks = peek(blocks, len(BOM))
        blocks, position = _without_bom(blocks, head)
    if stop is None or position < stop:
        cut = split_records(blocks, line_ends, position=position, stop=stop, max_record_bytes=options.max_record_bytes)
        yield from _batches(cut, path, {RECORD_FORMAT: format.encode()}, options)


def split_ranges(size: int, split_bytes: int) -> list[tuple[int, int | None]]:
    """Cut a size into nearly equal ranges, none longer than `split_bytes`; the last has no end.

    >>> split_ranges(25, 10)
    [(0, 9), (9, 18), (18, None)]
    """
    number = max(1, -(-size // split_bytes))
    width = -(-size // number)
    starts = range(0, max(size, 1), max(width, 1))
    return [(start, start + width if start + width < size else None) for start in starts]


def _from(file: BinaryIO, path: str, start: int) -> Iterator[bytes]:
    """The file from `start` on; goes there when the first block is asked for."""
    file.seek(start)
    yield from blocks_of(file, path, start)


def _without_bom(blocks: Iterator[bytes], head: bytes) -> tuple[Iterator[bytes], int]:
    """Drop a byte order mark, which stands in the first block as a whole."""
    if not head.startswith(BOM):
        return blocks, 0
    return itertools.chain([next(blocks)[len(BOM) :]], blocks), len(BOM)


def _next_line(blocks: Iterator[bytes], position: int, stop: int | None) -> tuple[int, Iterator[bytes]]:
    """Skip to behind the first newline; what begins at `stop` or later isn't looked at."""
    for block in blocks:
        end = block.find(b"\n") + 1
        if end:
            return position + end, itertools.chain([block[end:]], blocks)
        position += len(block)
        if stop is not None and position >= stop:
            break
    return position, iter(())


def _take_header(cut: Cut) -> tuple[bytes, Cut]:
    """Take the first record for a header."""
    for first in cut:
        if isinstance(first, Records):
            return first.payloads[0].as_py(), itertools.chain([Records(first.payloads[1:], first.positions[1:])], cut)
        if first[0].rule == UNCLOSED_QUOTE:
            return first[0].payload, itertools.chain([first[1:]], cut)
        return b"", itertools.chain([first], cut)
    return b"", cut


def _batches(cut: Rows, path: str, metadata: dict[bytes, bytes], options: ReadOptions) -> Iterator[pa.RecordBatch]:
    for found in cut:
        if isinstance(found, Records):
            batch = raw_batch(found.payloads, path, found.positions, metadata)
        elif isinstance(found, ColumnRows):
            batch = column_batch(found.records, path, found.positions, metadata)
        else:
            payloads = pa.array([refusal.payload for refusal in found], pa.binary())
            positions = pa.array([refusal.position for refusal in found], pa.int64())
            failures = [[failure(refusal.rule, None, None, f"{path}: {refusal.message}")] for refusal in found]
            batch = raw_batch(payloads, path, positions, metadata)
            batch = batch.append_column(FAILURES, failures_column(failures))
        if batch.num_rows:
            parts = -(-batch.num_rows // options.max_batch_rows)
            yield from split_to_bounds(batch, -(-batch.num_rows // parts), options.max_batch_bytes)
