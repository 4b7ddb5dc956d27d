"""One data file being written, in any format, with its size so far, to be closed or aborted."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from beam_pipelines.sink.avro_files import AvroFile
from beam_pipelines.sink.dead_letter_files import to_json_lines
from beam_pipelines.sink.encoding import Encoding
from beam_pipelines.sink.output_file import OutputFile
from beam_pipelines.sink.parquet_dictionaries import worth_a_dictionary
from beam_pipelines.sink.text_files import TextFile

_ORC_CODECS = {"none": "uncompressed", "gzip": "zlib"}


class DataFile(Protocol):
    """A file of rows that grows."""

    path: str

    @property
    def bytes(self) -> int:
        """Bytes written so far; of a closed file, its size."""
        ...

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Append rows; in Parquet they become one row group."""
        ...

    def close(self) -> None:
        """Finish the file. OutputError when the file system refuses."""
        ...

    def abort(self) -> None:
        """Close and delete it; never raises."""
        ...


def create(path: str, schema: pa.Schema, encoding: Encoding, *, letters: bool = False) -> DataFile:
    """Open a new file in the given encoding; JSON Lines of dead letters have a form of their own."""
    if letters and encoding.format == "jsonl":
        return LetterLinesFile(path)
    if encoding.is_text:
        return TextFile(path, schema, encoding)
    if encoding.format == "avro":
        return AvroFile(path, schema, encoding)
    return OrcFile(path, schema, encoding) if encoding.format == "orc" else ParquetFile(path, schema, encoding)


class ParquetFile:
    """A Parquet file: timestamps in microseconds, decimals of up to 18 digits as integers.

    The first rows tell which columns get dictionaries (see `worth_a_dictionary`).
    """

    def __init__(self, path: str, schema: pa.Schema, encoding: Encoding) -> None:
        self.path = path
        self._schema = schema
        self._encoding = encoding
        self._output = OutputFile(path)
        self._writer: pq.ParquetWriter | None = None

    @property
    def bytes(self) -> int:
        return self._output.bytes

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        rows = pa.Table.from_batches(batches, self._schema)
        self._writer_for(rows).write_table(rows, row_group_size=max(1, rows.num_rows))

    def close(self) -> None:
        self._writer_for(self._schema.empty_table()).close()
        self._output.close()

    def abort(self) -> None:
        self._output.abort()
        if self._writer is not None:
            with contextlib.suppress(Exception):  # writes a footer, which the aborted output swallows
                self._writer.close()

    def _writer_for(self, first: pa.Table) -> pq.ParquetWriter:
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._output,
                self._schema,
                version="2.6",
                compression=self._encoding.codec,
                compression_level=self._encoding.level,
                use_dictionary=worth_a_dictionary(first) if self._encoding.dictionaries else False,
                coerce_timestamps="us",
                store_decimal_as_integer=True,
            )
        return self._writer


class OrcFile:
    """An ORC file. Its times are kept in nanoseconds, so they end in the year 2262."""

    def __init__(self, path: str, schema: pa.Schema, encoding: Encoding) -> None:
        self.path = path
        self._schema = schema
        self._output = OutputFile(path)
        codec = _ORC_CODECS.get(str(encoding.codec), str(encoding.codec))
        try:
            self._writer = orc.ORCWriter(pa.PythonFile(self._output, mode="w"), compression=codec)
            self._writer.write(schema.empty_table())  # without it, a file of no rows has no columns
        except BaseException:
            self._output.abort()
            raise

    @property
    def bytes(self) -> int:
        return self._output.bytes

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        self._writer.write(pa.Table.from_batches(batches, self._schema))

    def close(self) -> None:
        self._writer.close()
        self._output.close()

    def abort(self) -> None:
        self._output.abort()
        with contextlib.suppress(Exception):  # writes a footer, which the aborted output swallows
            self._writer.close()


class LetterLinesFile:
    """Dead letters as JSON Lines."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._output = OutputFile(path)

    @property
    def bytes(self) -> int:
        return self._output.bytes

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        for batch in batches:
            self._output.write(to_json_lines(batch))

    def close(self) -> None:
        self._output.close()

    def abort(self) -> None:
        self._output.abort()
