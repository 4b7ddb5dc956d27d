"""Protobuf in a schema registry's wire format: behind the id of the schema, which of its messages one is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from confluent_kafka.schema_registry import Schema
from confluent_kafka.serialization import SerializationError
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.protobuf_types import MessageColumns, varints

try:
    from confluent_kafka.schema_registry.common.protobuf import _init_pool, _is_builtin, _str_to_proto
except ImportError as error:
    raise UsageError("Protobuf needs what comes with: pip install 'beam_pipelines[kafka]'") from error

MALFORMED = "protobuf.malformed"

Fetch = Callable[[str, int], Schema]
"""Subject and version of a schema that another one refers to → it, as a serialised FileDescriptorProto."""

Indexes = tuple[int, ...]
"""Which message of a file: its number, then that of a message inside it, and so on."""

_LONGEST = 16  # messages inside each other: more is no path, but other bytes


class _Kind(NamedTuple):
    parse: Callable[[bytes], Any]
    columns: MessageColumns


class ProtobufSchema:
    """How messages of one schema are read. UsageError for a schema that can't be, and why."""

    def __init__(self, schema: Schema, number: int, fetch: Fetch) -> None:
        self._number = number
        self._pool = DescriptorPool()
        _init_pool(self._pool)
        self._seen: set[str] = set()
        self._kinds: dict[Indexes, _Kind | str] = {}
        try:
            self._refer(schema, fetch)
            self._file = _str_to_proto(f"schema-{number}", schema.schema_str or "")
            self._pool.Add(self._file)
            self._pool.FindFileByName(self._file.name)
        except UsageError:
            raise
        except (TypeError, KeyError, ValueError, SerializationError) as error:  # as the pool has it
            raise UsageError(f"its descriptor can't be used: {error}") from error

    def tables(
        self, payloads: Sequence[bytes], rows: list[int], start: int, failed: dict[int, tuple[str, str]]
    ) -> list[pa.Table]:
        """Read messages whose indexes begin at `start`: a table for each of their types, with the column `__row`."""
        by_type: dict[Indexes, list[tuple[int, int]]] = {}
        for row in rows:
            found = read_indexes(payloads[row], start)
            if found is None:
                failed[row] = (MALFORMED, f"doesn't say which message of schema {self._number} it is")
            else:
                by_type.setdefault(found[0], []).append((row, found[1]))
        tables: list[pa.Table] = []
        for indexes, places in by_type.items():
            kind = self._kind(indexes)
            if isinstance(kind, str):
                failed |= dict.fromkeys([row for row, _ in places], (MALFORMED, kind))
            else:
                tables.append(self._table(kind, payloads, places, failed))
        return tables

    def _table(
        self,
        kind: _Kind,
        payloads: Sequence[bytes],
        places: list[tuple[int, int]],
        failed: dict[int, tuple[str, str]],
    ) -> pa.Table:
        messages: list[Any] = []
        good: list[int] = []

        def refuse(row: int, error: Exception) -> None:
            failed[row] = (MALFORMED, f"is no value of schema {self._number} ({type(error).__name__})")

        for row, start in places:
            message = _tried(lambda: kind.parse(payloads[row][start:]))  # noqa: B023  called at once
            if isinstance(message, Exception):
                refuse(row, message)
            else:
                messages.append(message)
                good.append(row)
        try:
            arrays = kind.columns.arrays(messages)
        except (ValueError, OverflowError):  # text that isn't UTF-8, a time that there isn't: in which of them?
            kept: list[tuple[Any, int]] = []
            for message, row in zip(messages, good, strict=True):
                found = _tried(lambda: kind.columns.arrays([message]))  # noqa: B023
                if isinstance(found, Exception):
                    refuse(row, found)
                else:
                    kept.append((message, row))
            arrays, good = kind.columns.arrays([message for message, _ in kept]), [row for _, row in kept]
        return pa.table({**arrays, "__row": pa.array(good, pa.int64())})

    def _kind(self, indexes: Indexes) -> _Kind | str:
        if indexes not in self._kinds:
            name = message_name(self._file, indexes)
            if name is None:
                self._kinds[indexes] = f"schema {self._number} has no message {'.'.join(map(str, indexes))}"
            else:
                descriptor = self._pool.FindMessageTypeByName(name)
                try:
                    self._kinds[indexes] = _Kind(GetMessageClass(descriptor).FromString, MessageColumns(descriptor))
                except UsageError as wrong:
                    self._kinds[indexes] = f"can't be read: {wrong}"
        return self._kinds[indexes]

    def _refer(self, schema: Schema, fetch: Fetch) -> None:
        """Know the files that a schema refers to, those that they refer to before them."""
        for each in schema.references or ():
            if each.name in self._seen or _is_builtin(each.name):
                continue
            self._seen.add(each.name)
            found = fetch(each.subject, each.version)
            self._refer(found, fetch)
            self._pool.Add(_str_to_proto(each.name, found.schema_str or ""))


def _tried(read: Callable[[], Any]) -> Any:
    """What is read, or the error that shows that it can't be."""
    try:
        return read()
    except (DecodeError, OverflowError, RuntimeError, ValueError) as error:
        return error


def read_indexes(payload: bytes, start: int) -> tuple[Indexes, int] | None:
    """Which message it is, and where it begins: a count and so many numbers as varints; a zero is the first message.

    >>> read_indexes(bytes([0]) + b"...", 0), read_indexes(bytes([4, 2, 0]) + b"...", 0)
    (((0,), 1), ((1, 0), 3))
    >>> read_indexes(bytes([4, 2]), 0) is None
    True
    """
    numbers = iter(varints(payload, start))
    count, end = next(numbers, (-1, 0))
    if not count:
        return (0,), end
    if not 0 < count <= _LONGEST:
        return None
    indexes: list[int] = []
    for number, at in numbers:
        indexes.append(number)
        if len(indexes) == count:
            return tuple(indexes), at
    return None


def message_name(file: FileDescriptorProto, indexes: Indexes) -> str | None:
    """Return the full name of a file's message; None if it has none of these indexes."""
    names = [file.package] if file.package else []
    inside = file.message_type
    for index in indexes:
        if not 0 <= index < len(inside):
            return None
        names.append(inside[index].name)
        inside = inside[index].nested_type
    return ".".join(names)
