"""Rows of Avro object container files (specification 1.12), block by block.

The framing is read here, so that a file can be split at sync markers and damage costs one block; fastavro
decodes what is in the blocks. A row's position is the offset of its block plus its number in the block.
"""

from __future__ import annotations

import bz2
import io
import itertools
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import fastavro
import msgspec
import numpy as np
import pyarrow as pa
import zstandard

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.avro_types import AvroColumn, avro_columns, without_times
from beam_pipelines.ingest.damage import TRUNCATED, Damage
from beam_pipelines.ingest.file_columns import ColumnRows, select
from beam_pipelines.ingest.records import Refusal
from beam_pipelines.ingest.stored import Stored, pieces

MAGIC = b"Obj\x01"
DAMAGED = "avro.damaged_block"

SYNC_BYTES = 16
MAX_BLOCK_BYTES = 256 << 20
"""Longest block, as stored and decompressed; writers make blocks of 16 KiB to 2 MiB."""

MOST_HEADER_BYTES = 20
"""Bytes of the two numbers before a block."""

DECODED_BYTES = 1 << 20
"""Bytes of blocks that are decoded together: each call costs some 100 µs."""

_OWN_SYNC = bytes(SYNC_BYTES)


class _Block(NamedTuple):
    offset: int
    rows: int
    data: bytes
    """Decompressed."""
    stored: bytes


def read_avro(
    blocks: Iterator[bytes],
    path: str,
    columns: tuple[str, ...] | None,
    max_rows: int,
    max_bytes: int,
    *,
    rest: tuple[Iterator[bytes], int] | None = None,
    stop: int | None = None,
) -> Iterator[ColumnRows | list[Refusal]]:
    """Yield the rows of a file whose bytes are `blocks`, from its start.

    For a range there are `rest`, the bytes from its start on and that start, and `stop`, where it ends. It
    has the blocks whose sync marker before them starts in it. A block that can't be decoded is refused, in pieces
    of `max_bytes`, and so are bytes up to the next sync marker where there should be a block; the rows in
    them can't be counted. Rows of a block before the one that can't be decoded are kept.
    """
    try:
        header = _Header(Stored(blocks), path)
    except Damage as damage:
        yield [Refusal(damage.rule, damage.message, b"", damage.offset)]
        return
    decode = _Decode(header, path, columns)
    framed = _Framing(header, max_bytes)
    if rest is not None:
        found = framed.read_range(*rest, stop)
    elif stop is not None and header.stored.offset - SYNC_BYTES >= stop:
        return
    else:
        found = framed.read(header.stored, 0, stop)
    waiting: list[_Block] = []
    for each in found:
        if isinstance(each, _Block):
            waiting.append(each)
            if sum(len(block.data) for block in waiting) < DECODED_BYTES and sum(b.rows for b in waiting) < max_rows:
                continue
        yield from decode(waiting, max_bytes)
        waiting = []
        if not isinstance(each, _Block):
            yield each
    yield from decode(waiting, max_bytes)


class _Header:
    """Schema, codec and sync marker; takes the header off the stored bytes."""

    def __init__(self, stored: Stored, path: str) -> None:
        self.stored = stored
        if stored.take(len(MAGIC)) != MAGIC:
            raise self._damage("it has no Avro signature")
        told: dict[str, bytes] = {}
        while count := self._long():
            if count < 0:
                count = -count
                self._long()
            for _ in range(count):
                name = self._bytes().decode(errors="replace")
                told[name] = self._bytes()
        self.sync = self._take(SYNC_BYTES)
        self.codec = told.get("avro.codec", b"null").decode(errors="replace")
        if self.codec not in _CODECS:
            raise UsageError(
                f"--input: '{path}' is Avro compressed with '{self.codec}', which can't be read. "
                f"There is: {', '.join(_CODECS)}."
            )
        try:
            self.schema: Any = msgspec.json.decode(told.get("avro.schema", b""))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._damage("its schema is no JSON") from error

    def _long(self) -> int:
        value = _read_long(self.stored)
        if value is None:
            raise self._damage("it ends within its header")
        return value

    def _bytes(self) -> bytes:
        size = self._long()
        if not 0 <= size <= MAX_BLOCK_BYTES:
            raise self._damage("its header is broken")
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = self.stored.take(size)
        if len(taken) < size:
            raise self._damage("it ends within its header")
        return taken

    def _damage(self, why: str) -> Damage:
        self.stored.check()
        return Damage(TRUNCATED if "ends" in why else "file.corrupt", f"the Avro file can't be read: {why}", 0)


class _Framing:
    """Cuts a file into blocks."""

    def __init__(self, header: _Header, piece_bytes: int) -> None:
        self._sync = header.sync
        self._decompress = _CODECS[header.codec]
        self._codec = header.codec
        self._piece_bytes = piece_bytes

    def read_range(self, blocks: Iterator[bytes], start: int, stop: int | None) -> Iterator[_Block | list[Refusal]]:
        """Blocks behind the first sync marker at or after `start`, up to the first at or after `stop`."""
        stored = Stored(blocks)
        marker, _ = self._next_marker(stored, keep=False)
        if marker is not None and (stop is None or start + marker < stop):
            yield from self.read(stored, start, stop)

    def read(self, stored: Stored, base: int, stop: int | None) -> Iterator[_Block | list[Refusal]]:
        """Blocks up to the sync marker at or after `stop`; the stored bytes start at `base`, before one."""
        while stored.peek(1):
            offset = base + stored.offset
            try:
                found = self._block(stored, offset)
            except _BrokenError as broken:
                yield from self._skip(stored, offset, broken)
            else:
                yield found
            if stop is not None and base + stored.offset - SYNC_BYTES >= stop:
                return
        try:
            stored.check()
        except Damage as damage:
            yield [Refusal(damage.rule, damage.message, b"", damage.offset)]

    def _block(self, stored: Stored, offset: int) -> _Block | list[Refusal]:
        ahead = Stored(iter([stored.peek(MOST_HEADER_BYTES)]))
        rows, size = _read_long(ahead), _read_long(ahead)
        if rows is None or size is None:
            raise _BrokenError("the file ends within a block", TRUNCATED)
        if rows < 0 or not 0 <= size <= MAX_BLOCK_BYTES:
            raise _BrokenError(f"no block begins at byte {offset}")
        header = stored.take(ahead.offset)
        data = stored.take(size)
        sync = stored.peek(SYNC_BYTES)
        if len(data) + len(sync) < size + SYNC_BYTES:
            raise _BrokenError(f"the block at byte {offset} is cut off", TRUNCATED, header + data)
        if sync != self._sync:
            message = f"the block at byte {offset} doesn't end in the file's sync marker"
            raise _BrokenError(message, DAMAGED, header + data)
        stored.take(SYNC_BYTES)
        try:
            return _Block(offset, rows, self._decompress(data), data)
        except (
            OSError,
            EOFError,
            ValueError,
            zlib.error,
            lzma.LZMAError,
            zstandard.ZstdError,
            pa.ArrowException,
        ) as error:
            return list(
                _refused(
                    DAMAGED, f"the block of {rows} rows at byte {offset}: {error}", data, offset, self._piece_bytes
                )
            )

    def _skip(self, stored: Stored, offset: int, broken: _BrokenError) -> Iterator[list[Refusal]]:
        """Refuse all up to the next sync marker."""
        _, skipped = self._next_marker(stored, keep=True)
        yield from (
            [each] for each in _refused(broken.rule, str(broken), broken.taken + skipped, offset, self._piece_bytes)
        )

    def _next_marker(self, stored: Stored, keep: bool) -> tuple[int | None, bytes]:
        """Go behind the next sync marker; returns its offset in the stored bytes, and what stood before it."""
        skipped: list[bytes] = []
        while len(ahead := stored.peek(64 << 10)) >= SYNC_BYTES:
            place = ahead.find(self._sync)
            taken = stored.take(place if place >= 0 else len(ahead) - SYNC_BYTES + 1)
            if keep:
                skipped.append(taken)
            if place >= 0:
                marker = stored.offset
                stored.take(SYNC_BYTES)
                return marker, b"".join(skipped)
        skipped.append(stored.take(SYNC_BYTES))
        return None, b"".join(skipped) if keep else b""


class _BrokenError(Exception):
    """There is no whole block where one should be; `taken` of it has been taken off."""

    def __init__(self, message: str, rule: str = DAMAGED, taken: bytes = b"") -> None:
        super().__init__(message)
        self.rule = rule
        self.taken = taken


class _Decode:
    """Blocks → rows, by fastavro."""

    def __init__(self, header: _Header, path: str, columns: tuple[str, ...] | None) -> None:
        try:
            every = avro_columns(header.schema, path)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"--input: '{path}' is Avro with a schema that is none: {error!r}") from error
        wanted = select([column.name for column in every], columns)
        self._columns: list[AvroColumn] = [column for column in every if wanted is None or column.name in wanted]
        plain = without_times(header.schema)
        self._reader_schema: Any = None
        if len(self._columns) < len(every):
            kept = {column.name for column in self._columns}
            self._reader_schema = plain | {"fields": [field for field in plain["fields"] if field["name"] in kept]}
        file = io.BytesIO()
        try:
            fastavro.writer(file, plain, [], sync_marker=_OWN_SYNC)
        except Exception as error:  # fastavro has no one class of errors
            raise UsageError(f"--input: '{path}' is Avro with a schema that can't be used: {error}") from error
        self._prefix = file.getvalue()

    def __call__(self, blocks: list[_Block], piece_bytes: int) -> Iterator[ColumnRows | list[Refusal]]:
        if not blocks:
            return
        records, error = self._records(blocks)
        if error is None:
            try:
                yield self._rows(records, _positions(blocks))
                return
            except pa.ArrowException as misfit:  # a decimal of more digits than it says, say
                records, error = [], misfit
        if len(blocks) > 1:
            for block in blocks:
                yield from self([block], piece_bytes)
        else:
            (block,) = blocks
            if records:
                yield self._rows(records, _positions([block._replace(rows=len(records))]))
            message = f"the block at byte {block.offset}, from its row {len(records) + 1} of {block.rows} on: {error}"
            yield list(_refused(DAMAGED, message, block.stored, block.offset, piece_bytes))

    def _records(self, blocks: list[_Block]) -> tuple[list[dict[str, Any]], Exception | None]:
        framed = [(_long(block.rows), _long(len(block.data)), block.data, _OWN_SYNC) for block in blocks]
        file = io.BytesIO(b"".join([self._prefix, *itertools.chain(*framed)]))
        records: list[Any] = []
        try:
            for record in fastavro.reader(file, self._reader_schema):
                records.append(record)  # noqa: PERF402  what came before an error is kept
        except Exception as error:  # fastavro lets whatever its decoders raise through
            return records, error
        if len(records) != sum(block.rows for block in blocks):
            return records, ValueError("it has fewer rows than it says")
        return records, None

    def _rows(self, records: list[dict[str, Any]], positions: pa.Array) -> ColumnRows:
        arrays = [column.array(records) for column in self._columns]
        fields = [pa.field(column.name, column.type) for column in self._columns]
        return ColumnRows(pa.StructArray.from_arrays(arrays, fields=fields), positions)


def _positions(blocks: list[_Block]) -> pa.Array:
    return pa.array(np.concatenate([block.offset + np.arange(block.rows) for block in blocks]))


def _refused(rule: str, message: str, data: bytes, offset: int, size: int) -> Iterator[Refusal]:
    for piece in pieces([data], size) if data else [b""]:
        yield Refusal(rule, message, piece, offset)


def _read_long(stored: Stored) -> int | None:
    """Take a number in variable-length zig-zag coding; None at the end of the file."""
    value, shift = 0, 0
    while shift < 70:
        byte = stored.take(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            break
        shift += 7
    return (value >> 1) ^ -(value & 1)


def _long(value: int) -> bytes:
    """A number of rows or bytes in that coding."""
    coded, value = bytearray(), value << 1
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*coded, value])


def _inflate(data: bytes) -> bytes:
    return _bounded(zlib.decompressobj(wbits=-15).decompress(data, MAX_BLOCK_BYTES + 1))


def _unzstd(data: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(data) as reader:
        return _bounded(reader.read(MAX_BLOCK_BYTES + 1))


def _unsnappy(data: bytes) -> bytes:
    """Snappy with its length in front, as always, and the checksum of the content behind, as Avro wants it."""
    size, shift = 0, 0
    for byte in data[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > MAX_BLOCK_BYTES:
        raise ValueError(f"it claims to hold {size} bytes")
    content: bytes = pa.decompress(data[:-4], decompressed_size=size, codec="snappy", asbytes=True)
    if zlib.crc32(content) != int.from_bytes(data[-4:], "big"):
        raise ValueError("its checksum is wrong")
    return content


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_BLOCK_BYTES:
        raise ValueError(f"it holds more than {MAX_BLOCK_BYTES} bytes")
    return data


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _inflate,
    "snappy": _unsnappy,
    "zstandard": _unzstd,
    "bzip2": lambda data: _bounded(bz2.BZ2Decompressor().decompress(data, MAX_BLOCK_BYTES + 1)),
    "xz": lambda data: _bounded(lzma.LZMADecompressor().decompress(data, MAX_BLOCK_BYTES + 1)),
}
