"""Rows as Avro object container files (specification 1.12).

fastavro codes the records; blocks are framed and compressed here, so that codecs need no more libraries.
"""

from __future__ import annotations

import bz2
import io
import re
import secrets
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import fastavro
import fastavro.write
import pyarrow as pa
import zstandard

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.encoding import Encoding
from beam_pipelines.sink.output_file import OutputFile

BLOCK_BYTES = 256 << 10
"""Bytes of records in a block, before compression: readers split files at blocks."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CODEC_NAMES = {"gzip": "deflate", "zstd": "zstandard", "none": "null", "snappy": "snappy", "bzip2": "bzip2"}


class AvroFile:
    """An Avro file. Times are logical types of microseconds, decimals are bytes."""

    def __init__(self, path: str, schema: pa.Schema, encoding: Encoding) -> None:
        self.path = path
        self._compress = _compressor(encoding)
        self._sync = secrets.token_bytes(16)
        header = io.BytesIO()
        self._schema = fastavro.parse_schema(avro_schema(schema))
        fastavro.write.Writer(header, self._schema, codec=_CODEC_NAMES[str(encoding.codec)], sync_marker=self._sync)
        self._buffer = io.BytesIO()
        self._writer = fastavro.write.Writer(
            self._buffer, self._schema, sync_interval=BLOCK_BYTES, sync_marker=self._sync
        )
        self._empty()
        self._output = OutputFile(path)
        try:
            self._output.write(header.getvalue())
        except BaseException:
            self._output.abort()
            raise

    @property
    def bytes(self) -> int:
        return self._output.bytes

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        for batch in batches:
            for record in _records(batch):
                self._writer.write(record)
            self._writer.flush()
            self._write_blocks()

    def close(self) -> None:
        self._output.close()

    def abort(self) -> None:
        self._output.abort()

    def _write_blocks(self) -> None:
        coded = self._buffer.getvalue()
        self._empty()
        at = 0
        while at < len(coded):
            first = at
            _, at = _long(coded, at)
            rows = coded[first:at]
            size, at = _long(coded, at)
            data = self._compress(coded[at : at + size])
            self._output.write(b"".join((rows, _coded(len(data)), data, self._sync)))
            at += size + len(self._sync)

    def _empty(self) -> None:
        self._buffer.seek(0)
        self._buffer.truncate()


def avro_schema(schema: pa.Schema) -> dict[str, Any]:
    """The schema of a file's records; every field may be null. UsageError for names that Avro doesn't take.

    >>> avro_schema(pa.schema([("id", pa.int64())]))["fields"]
    [{'name': 'id', 'type': ['null', 'long'], 'default': None}]
    """
    return _record("row", list(schema))


def _record(name: str, fields: list[pa.Field]) -> dict[str, Any]:
    told = []
    for field in fields:
        if not _NAME.fullmatch(field.name):
            raise UsageError(
                f"--output_format: the column '{field.name}' can't be in Avro, whose names are of letters, digits and "
                "'_' and don't start with a digit: rename it, or choose another format"
            )
        kind = ["null", _type(field.type, f"{name}_{field.name}")]
        told.append({"name": field.name, "type": kind, "default": None})
    return {"type": "record", "name": name, "fields": told}


def _type(kind: pa.DataType, name: str) -> Any:
    kinds = pa.types
    if kinds.is_boolean(kind):
        return "boolean"
    if kinds.is_integer(kind):
        return "int" if kind.bit_width < 32 or kind == pa.int32() else "long"
    if kinds.is_floating(kind):
        return "double" if kind.bit_width == 64 else "float"
    if kinds.is_decimal(kind):
        return {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        return "string"
    if kinds.is_binary(kind):
        return "bytes"
    if kinds.is_date32(kind):
        return {"type": "int", "logicalType": "date"}
    if kinds.is_timestamp(kind):
        return {"type": "long", "logicalType": "timestamp-micros" if kind.tz else "local-timestamp-micros"}
    if kinds.is_struct(kind):
        return _record(name, list(kind))
    if kinds.is_map(kind) and kinds.is_string(kind.key_type):
        return {"type": "map", "values": ["null", _type(kind.item_type, f"{name}_value")]}
    if kinds.is_list(kind):
        return {"type": "array", "items": ["null", _type(kind.value_type, f"{name}_item")]}
    raise UsageError(f"--output_format: a column of type {kind} can't be in Avro: choose another format")


def _records(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows as fastavro takes them; times as numbers, which costs a tenth of making objects of them."""
    columns = []
    for column in batch.columns:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
        elif pa.types.is_date32(column.type):
            column = column.cast(pa.int32())
        columns.append(column)
    plain = pa.RecordBatch.from_arrays(columns, batch.schema.names)
    return plain.to_pylist(maps_as_pydicts="strict")


def _compressor(encoding: Encoding) -> Callable[[bytes], bytes]:
    level = encoding.level
    if encoding.codec == "gzip":
        return lambda data: _deflate(data, 6 if level is None else level)
    if encoding.codec == "zstd":
        return zstandard.ZstdCompressor(3 if level is None else level).compress
    if encoding.codec == "bzip2":
        return lambda data: bz2.compress(data, 9 if level is None else level)
    if encoding.codec == "snappy":
        return lambda data: pa.compress(data, codec="snappy", asbytes=True) + zlib.crc32(data).to_bytes(4, "big")
    return bytes


def _deflate(data: bytes, level: int) -> bytes:
    coder = zlib.compressobj(level, wbits=-15)
    return coder.compress(data) + coder.flush()


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Read a number in variable-length zig-zag coding; returns it and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def _coded(value: int) -> bytes:
    """A size in that coding."""
    coded, value = bytearray(), value << 1
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*coded, value])
