"""Files → raw batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger, outcome, progress
from beam_pipelines.columnar.batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD
from beam_pipelines.dead_letters import letters_of
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.content import (
    MAX_RECORD_BYTES,
    ReadOptions,
    read_content,
    read_lines,
    split_ranges,
    tell_compression_of,
    tell_format_of,
)
from beam_pipelines.ingest.inputs import InputFile, list_inputs, open_input
from beam_pipelines.ingest.sniff import HEAD_BYTES

STAGE = "ReadFiles"

SPLIT_BYTES = 64 << 20
"""Bytes of a plain file that one worker reads: under a second of reading, so that work spreads evenly."""

Range = tuple[str, int, int | None]
"""A file, and where the lines start that are to be read: [start, stop)."""


class ReadFiles(beam.PTransform):
    """Read JSON Lines and CSV, plain or compressed with gzip or zstd, from any file system of Beam.

    PBegin → Outcome of raw batches (`columnar.provenance`): payload, file as `__source`, byte offset in
    the decompressed content as `__position`; metadata `record.format` and, for CSV, `csv.header`.

    What a file is, is told by its content and then by its name (`ingest.sniff`), unless `format` and
    `compression` say so; they hold for all files. Patterns are matched when the pipeline runs; one that
    matches no file fails the run, as does a file that may not be read or is gone (`list_inputs`).

    Records are the lines of a file without "\\n" or "\\r\\n" and without the byte order mark before the
    first. In JSON Lines, lines of white space aren't records. In CSV, empty lines aren't; a newline
    inside a quoted field belongs to its record; the first record of each file is its header
    (`dialect.header`) and isn't counted as a row. A lone "\\r" ends nothing. Text isn't decoded here.

    Plain JSON Lines of more than `split_bytes` are read in ranges by several workers. CSV and
    compressed files aren't: only reading from the start tells what is quoted or compressed.

    Dead letters, whose payloads are the bytes as they stand:
    - `file.record_too_long`: a line of more than `max_record_bytes`, in consecutive pieces of so many;
    - `csv.unclosed_quote`: the first line of a record whose quote isn't closed within
      `max_record_bytes`; reading goes on at the next line;
    - `file.truncated`, `file.corrupt`, `file.unreadable`: the record in which a compressed stream ends
      early, is broken, or the medium fails (EIO); empty if that was between two records. The rows behind
      it can't be counted. If a checksum is wrong, rows before it may be too; they are kept;
    - `file.undecodable`: the stored bytes that couldn't be decompressed, in such pieces; their position
      is that in the file as stored.
    Each piece counts as a row. Another I/O error fails the bundle, and the runner may try again.

    Memory holds a few blocks of 2 MiB and one record, whatever the size of a file.

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
        max_record_bytes: int = MAX_RECORD_BYTES,
        split_bytes: int = SPLIT_BYTES,
        max_batch_rows: int = MAX_BATCH_ROWS,
        max_batch_bytes: int = MAX_BATCH_BYTES,
    ) -> None:
        super().__init__()
        self._patterns = [patterns] if isinstance(patterns, str) else list(patterns)
        if not self._patterns:
            list_inputs(self._patterns)
        if split_bytes < 1:
            raise UsageError(f"split_bytes: {split_bytes} is not allowed: at least 1")
        self._split_bytes = split_bytes
        self._options = ReadOptions(
            format, compression, dialect or CsvDialect(), max_record_bytes, max_batch_rows, max_batch_bytes
        )

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        ranges = (
            begin
            # One element, so that a file which several patterns name is read once.
            | "Patterns" >> beam.Create([self._patterns])
            | "List" >> beam.ParDo(_ListRanges(self._options, self._split_bytes)).with_output_types(Range)
            | "Spread" >> beam.Reshuffle()
        )
        return outcome.apply(ranges, _ReadRange(self._options), "Read")


class _ListRanges(beam.DoFn):
    def __init__(self, options: ReadOptions, split_bytes: int) -> None:
        self._options = options
        self._split_bytes = split_bytes

    def process(self, patterns: list[str]) -> Iterator[Range]:
        for file in list_inputs(patterns):
            # Small files aren't opened here, where only one worker is at work.
            if file.size > self._split_bytes and self._has_plain_lines(file):
                for start, stop in split_ranges(file.size, self._split_bytes):
                    yield file.path, start, stop
            else:
                yield file.path, 0, None

    def _has_plain_lines(self, file: InputFile) -> bool:
        if self._options.format == "csv" or self._options.compression in ("gzip", "zstd"):
            return False
        with open_input(file.path) as stored:
            head = stored.read(HEAD_BYTES)
        if tell_compression_of(head, file.path, self._options) != "none":
            return False
        return tell_format_of(head, file.path, self._options) == "jsonl"


class _ReadRange(beam.DoFn):
    def __init__(self, options: ReadOptions) -> None:
        self._options = options

    def process(self, part: Range) -> Iterator[pa.RecordBatch | beam.pvalue.TaggedOutput]:
        path, start, stop = part
        with open_input(path) as file:
            if start == 0 and stop is None:
                batches = read_content(file, path, self._options)
            else:
                batches = read_lines(file, path, start, stop, self._options)
            for batch in batches:
                yield outcome.note(STAGE, ledger.READ, batch.num_rows)
                progress.count(progress.BYTES, batch.column(PAYLOAD).nbytes)
                if FAILURES in batch.schema.names:
                    yield from outcome.refuse(letters_of(batch, transform=STAGE), STAGE)
                else:
                    yield batch
