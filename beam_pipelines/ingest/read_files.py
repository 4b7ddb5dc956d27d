"""Files → raw batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger, outcome, progress
from beam_pipelines.columnar.batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.dead_letters import letters_of
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.content import (
    LINES,
    MAX_RECORD_BYTES,
    ReadOptions,
    read_content,
    read_range,
    split_ranges,
    tell_compression_of,
    tell_format_of,
)
from beam_pipelines.ingest.inputs import InputFile, list_inputs, open_input
from beam_pipelines.ingest.parquet_rows import split_groups
from beam_pipelines.ingest.sniff import HEAD_BYTES

STAGE = "ReadFiles"

SPLIT_BYTES = 16 << 20
"""Bytes of a plain file that one worker reads: under half a second of work for all stages. A runner deals the parts
out before it starts, so that with few of them one worker has most: of five, one of two has three."""

Range = tuple[str, str, int, int | None]
"""A file, its format if that is known, and what of it is to be read: row groups of Parquet, else bytes,
[start, stop); all of it if the format isn't known."""


class ReadFiles(beam.PTransform):
    """Read files of rows from any file system of Beam.

    PBegin → Outcome of raw batches (`columnar.provenance`): payload, file as `__source`, byte offset in
    the decompressed content as `__position`; metadata `record.format` and, for CSV, `csv.header`. Of
    Parquet, ORC and Avro the batch has `__record`, a struct of the file's columns, and no payload; the
    position is the row's number in the file (Avro: that in its block plus the block's offset).

    What a file is, is told by its content and then by its name (`ingest.sniff`), unless `format` and
    `compression` say so; they hold for all files. Patterns are matched when the pipeline runs; one that
    matches no file fails the run, as does a file that may not be read or is gone (`list_inputs`). Or else
    `files` are read, of what has been listed before, and patterns aren't looked at.

    | format | a record is |
    | --- | --- |
    | `jsonl`, `fixed` | a line without "\\n" or "\\r\\n"; lines of white space aren't records |
    | `csv` | as RFC 4180: a newline in a quoted field is part of it; the first is the header (`dialect.header`) |
    | `json` | an element of the array that the file is, or one of the values that follow each other |
    | `xml` | an element at `xml_row`, by default a child of the root; entities are refused, not expanded |
    | `parquet`, `orc`, `avro` | a row; only `columns` are read, if given (those that differ in case too) |

    A byte order mark before the first record is no part of it; a lone "\\r" ends nothing. Text isn't
    decoded here. Compression is `gzip`, `zstd`, `bzip2` or `none`; Parquet and ORC have their own inside.

    Plain files of more than `split_bytes` are read by several workers where that is safe: lines in
    ranges, Avro by its sync markers, Parquet by row groups. Others are read from start to end by one.

    Dead letters, whose payloads are the bytes as they stand:
    - `file.record_too_long`: a line of more than `max_record_bytes`, in consecutive pieces of so many;
    - `csv.unclosed_quote`: the first line of a record whose quote isn't closed within
      `max_record_bytes`; reading goes on at the next line;
    - `file.truncated`, `file.corrupt`, `file.unreadable`: the record in which a compressed stream ends
      early, is broken, or the medium fails (EIO); empty if that was between two records. The rows behind
      it can't be counted. If a checksum is wrong, rows before it may be too; they are kept;
    - `file.undecodable`: the stored bytes that couldn't be decompressed, in such pieces; their position
      is that in the file as stored.
    - `json.unclosed_value`, `json.after_array`, `xml.malformed`, `xml.forbidden`: from where a value isn't
      closed, the array has ended, XML isn't well-formed or declares entities, all that is left;
    - `avro.damaged_block`: the block as stored, and bytes up to the next sync marker; for Parquet and ORC
      `file.corrupt` with an empty payload, of a file, a row group or the stripes from one on. Rows before
      the damage are kept.
    Each piece counts as a row. Another I/O error fails the bundle, and the runner may try again.

    Memory holds a few blocks of 2 MiB and one record, whatever the size of a file; of ORC a stripe.

    >>> import pathlib, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = pathlib.Path(folder, "a.jsonl").write_text('{"id": 1}\\n{"id": 2}\\n')
    >>> with beam.Pipeline(runner="FnApiRunner") as pipeline:
    ...     rows = pipeline | ReadFiles(f"{folder}/*.jsonl")
    ...     _ = rows.good | beam.Map(lambda batch: print(batch.column("__payload").to_pylist()))
    [b'{"id": 1}', b'{"id": 2}']
    """

    def __init__(
        self,
        patterns: str | Sequence[str],
        format: str = "auto",
        compression: str = "auto",
        dialect: CsvDialect | None = None,
        *,
        columns: Sequence[str] | None = None,
        xml_row: str | None = None,
        files: Sequence[InputFile] | None = None,
        max_record_bytes: int = MAX_RECORD_BYTES,
        split_bytes: int = SPLIT_BYTES,
        max_batch_rows: int = MAX_BATCH_ROWS,
        max_batch_bytes: int = MAX_BATCH_BYTES,
    ) -> None:
        super().__init__()
        self._patterns = [patterns] if isinstance(patterns, str) else list(patterns)
        self._files = None if files is None else list(files)
        if not self._patterns and files is None:
            list_inputs(self._patterns)
        if split_bytes < 1:
            raise UsageError(f"split_bytes: {split_bytes} is not allowed: at least 1")
        self._split_bytes = split_bytes
        self._options = ReadOptions(
            format,
            compression,
            dialect or CsvDialect(),
            max_record_bytes,
            max_batch_rows,
            max_batch_bytes,
            None if columns is None else tuple(columns),
            xml_row,
        )

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        ranges = (
            begin
            # One element, so that a file which several patterns name is read once.
            | "Patterns" >> beam.Create([(self._patterns, self._files)])
            | "List" >> beam.ParDo(_ListRanges(self._options, self._split_bytes)).with_output_types(Range)
            | "Spread" >> beam.Reshuffle()
        )
        return outcome.apply(ranges, _ReadRange(self._options), "Read")


class _ListRanges(beam.DoFn):
    def __init__(self, options: ReadOptions, split_bytes: int) -> None:
        self._options = options
        self._split_bytes = split_bytes

    def process(self, given: tuple[list[str], list[InputFile] | None]) -> Iterator[Range]:
        patterns, files = given
        for file in list_inputs(patterns) if files is None else (InputFile(*each) for each in files):
            # Small files aren't opened here, where only one worker is at work.
            format = self._splittable(file) if file.size > self._split_bytes else ""
            if format == "parquet":
                with open_input(file.path) as opened:
                    ranges = split_groups(opened, file.path, self._split_bytes)
            elif format:
                ranges = split_ranges(file.size, self._split_bytes)
            else:
                ranges = [(0, None)]
            for start, stop in ranges:
                yield file.path, format, start, stop

    def _splittable(self, file: InputFile) -> str:
        """The format of a plain file that can be read in ranges; empty for others."""
        with open_input(file.path) as stored:
            head = stored.read(HEAD_BYTES)
        if tell_compression_of(head, file.path, self._options) != "none":
            return ""
        format = tell_format_of(head, file.path, self._options)
        return format if format in (*LINES, "avro", "parquet") else ""


class _ReadRange(beam.DoFn):
    def __init__(self, options: ReadOptions) -> None:
        self._options = options

    def process(self, part: Range) -> Iterator[pa.RecordBatch | beam.pvalue.TaggedOutput]:
        path, format, start, stop = part
        with open_input(path) as file:
            if start == 0 and stop is None:
                batches = read_content(file, path, self._options)
            else:
                batches = read_range(file, path, format, start, stop, self._options)
            for batch in batches:
                yield outcome.note(STAGE, ledger.READ, batch.num_rows)
                progress.count(progress.BYTES, batch.column(0).nbytes)  # the payload, or the record
                if FAILURES in batch.schema.names:
                    yield from outcome.refuse(letters_of(batch, transform=STAGE), STAGE)
                else:
                    yield batch
