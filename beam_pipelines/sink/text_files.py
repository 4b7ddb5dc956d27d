"""Rows as JSON Lines and CSV, compressed on the way.

JSON Lines: an object with all columns in each line, nulls too; see `columnar.json_text`. CSV (RFC 4180):
a header, strings in quotes, null as nothing, so that it can be told from an empty string; times as ISO
8601; objects, arrays and maps as JSON.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import zstandard

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.sink.encoding import Encoding
from beam_pipelines.sink.output_file import OutputFile


class _Compressor(Protocol):
    def compress(self, data: Any, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: Any, /) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


def _compressor(encoding: Encoding) -> _Compressor:
    if encoding.codec == "gzip":
        return zlib.compressobj(6 if encoding.level is None else encoding.level, wbits=31)  # no name, no time
    if encoding.codec == "zstd":
        return zstandard.ZstdCompressor(3 if encoding.level is None else encoding.level).compressobj()
    if encoding.codec == "bzip2":
        return bz2.BZ2Compressor(9 if encoding.level is None else encoding.level)
    return _Plain()


class TextFile:
    """A file of lines."""

    def __init__(self, path: str, schema: pa.Schema, encoding: Encoding) -> None:
        self.path = path
        self._output = OutputFile(path)
        self._compressor = _compressor(encoding)
        self._is_csv = encoding.format == "csv"
        self._schema = schema
        try:
            if self._is_csv:
                self._write(csv_lines(schema.empty_table().to_batches(), schema, header=True))
        except BaseException:
            self._output.abort()
            raise

    @property
    def bytes(self) -> int:
        return self._output.bytes

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        if self._is_csv:
            self._write(csv_lines(batches, self._schema, header=False))
            return
        for batch in batches:
            self._write(json_lines(batch))

    def close(self) -> None:
        self._output.write(self._compressor.flush())
        self._output.close()

    def abort(self) -> None:
        self._output.abort()

    def _write(self, data: Any) -> None:
        compressed = self._compressor.compress(data)
        if compressed:
            self._output.write(compressed)


def json_lines(batch: pa.RecordBatch) -> memoryview:
    """A batch as lines of JSON.

    >>> bytes(json_lines(pa.record_batch({"id": [1, None]})))
    b'{"id":1}\\n{"id":null}\\n'
    """
    if not batch.num_rows:
        return memoryview(b"")
    lines = pc.binary_join_element_wise(json_text(batch.to_struct_array()), "", "\n")
    lines = lines.cast(pa.large_string()) if pa.types.is_string(lines.type) else lines
    _, offsets, data = lines.buffers()
    end = memoryview(offsets).cast("q")[lines.offset + len(lines)]
    return memoryview(data)[:end]


def csv_lines(batches: Sequence[pa.RecordBatch], schema: pa.Schema, *, header: bool) -> memoryview:
    """Batches as lines of CSV.

    >>> rows = pa.record_batch({"id": [1, None], "note": ["", None]})
    >>> bytes(csv_lines([rows], rows.schema, header=True))
    b'"id","note"\\n1,""\\n,\\n'
    """
    plain = pa.schema([(field.name, _csv_type(field.type)) for field in schema])
    sink = pa.BufferOutputStream()
    # Only strings need quotes: a delimiter or quote in anything else there can't be.
    options = pa.csv.WriteOptions(include_header=header, quoting_style="needed")
    with pa.csv.CSVWriter(sink, plain, write_options=options) as writer:
        for batch in batches:
            columns = [_csv_values(column) for column in batch.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=plain))
    return memoryview(sink.getvalue())


def _csv_type(kind: pa.DataType) -> pa.DataType:
    return kind if _is_plain(kind) else pa.string()


def _is_plain(kind: pa.DataType) -> bool:
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(is_number or pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_date(kind))


def _csv_values(values: pa.Array) -> pa.Array:
    if _is_plain(values.type):
        return values
    if pa.types.is_timestamp(values.type):
        return pc.replace_substring(values.cast(pa.string()), " ", "T", max_replacements=1)
    return pc.if_else(values.is_valid(), json_text(values), None)
