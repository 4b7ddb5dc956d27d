"""Messages of Protobuf as Arrow's columns, by their descriptors.

| Protobuf | Arrow |
| --- | --- |
| numbers, bool, string, bytes | the same |
| enum | its name as text; of a number that has none, the number |
| message | struct |
| repeated, map | list, map |
| Timestamp, wrappers such as Int64Value | timestamp in microseconds, the value or null |
| Duration, Struct, Value, ListValue | text: Protobuf's JSON for it |
| confluent.type.Decimal | text: the number |

A field that has presence (proto2, `optional`, a oneof, messages) is null when it isn't there; another has its default,
since a message doesn't say which.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from beam_pipelines.errors import UsageError

_KINDS = {
    FieldDescriptor.CPPTYPE_INT32: pa.int32(),
    FieldDescriptor.CPPTYPE_INT64: pa.int64(),
    FieldDescriptor.CPPTYPE_UINT32: pa.uint32(),
    FieldDescriptor.CPPTYPE_UINT64: pa.uint64(),
    FieldDescriptor.CPPTYPE_DOUBLE: pa.float64(),
    FieldDescriptor.CPPTYPE_FLOAT: pa.float32(),
    FieldDescriptor.CPPTYPE_BOOL: pa.bool_(),
    FieldDescriptor.CPPTYPE_ENUM: pa.string(),
    FieldDescriptor.CPPTYPE_STRING: pa.string(),
}
_WRAPPERS = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
)
_AS_JSON = frozenset(f"google.protobuf.{kind}" for kind in ("ListValue", "Struct", "Value"))

Values = Callable[[Sequence[Any]], pa.Array]
"""Values of a field, None where it isn't there, as a column."""


class MessageColumns:
    """How messages of one type become columns. UsageError for a type that has no fields or refers to itself."""

    def __init__(self, descriptor: Descriptor) -> None:
        if not descriptor.fields:
            raise UsageError(f"{descriptor.full_name} has no fields")
        self._fields = [_Field(field, (descriptor.full_name,)) for field in descriptor.fields]

    def arrays(self, messages: Sequence[Any]) -> dict[str, pa.Array]:
        """The columns of messages by name. UnicodeDecodeError if a string of proto2 isn't UTF-8."""
        return {field.name: field.array(messages) for field in self._fields}


class _Field:
    def __init__(self, field: FieldDescriptor, inside: tuple[str, ...]) -> None:
        self.name: str = field.name
        self._is_map = _is_map(field)
        self._is_repeated = field.is_repeated and not self._is_map
        self._has_presence: bool = field.has_presence
        if self._is_map:
            entry = field.message_type.fields_by_name
            self._keys, self._items = _values(entry["key"], inside), _values(entry["value"], inside)
        else:
            self._items = _values(field, inside)

    def array(self, messages: Sequence[Any]) -> pa.Array:
        """The field's column; messages may be None."""
        name = self.name
        if self._is_map or self._is_repeated:
            found = [None if message is None else getattr(message, name) for message in messages]
            lengths = [0 if each is None else len(each) for each in found]
            offsets = pa.array([0, *itertools.accumulate(lengths)], pa.int32())
            there = [each for each in found if each is not None]
            if self._is_map:
                keys = self._keys([key for each in there for key in each])
                return pa.MapArray.from_arrays(
                    offsets, keys, self._items([each[key] for each in there for key in each])
                )
            return pa.ListArray.from_arrays(offsets, self._items(list(itertools.chain.from_iterable(there))))
        if self._has_presence:
            return self._items(
                [
                    getattr(message, name) if message is not None and message.HasField(name) else None
                    for message in messages
                ]
            )
        return self._items([None if message is None else getattr(message, name) for message in messages])


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry)


def _values(field: FieldDescriptor, inside: tuple[str, ...]) -> Values:
    """What makes a column of the values of a field, each by itself."""
    if field.message_type is not None:
        return _messages(field.message_type, inside)
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda values: pa.array(
            [None if value is None else names.get(value, str(value)) for value in values], pa.string()
        )
    kind = pa.binary() if field.type == FieldDescriptor.TYPE_BYTES else _KINDS[field.cpp_type]
    return lambda values: pa.array(values, kind)


def _messages(descriptor: Descriptor, inside: tuple[str, ...]) -> Values:
    name = descriptor.full_name
    if name == "google.protobuf.Timestamp":
        return _prepared(lambda value: value.seconds * 1_000_000 + value.nanos // 1000, pa.timestamp("us", "UTC"))
    if name == "google.protobuf.Duration":
        return _prepared(lambda value: value.ToJsonString(), pa.string())
    if name in _WRAPPERS:
        inner = _values(descriptor.fields_by_name["value"], inside)
        return lambda values: inner([None if value is None else value.value for value in values])
    if name in _AS_JSON:
        return _prepared(lambda value: json_format.MessageToJson(value, indent=None), pa.string())
    if name == "confluent.type.Decimal":
        return _prepared(_decimal, pa.string())
    if name in inside:
        raise UsageError(f"{name} refers to itself, which columns can't")
    fields = [_Field(field, (*inside, name)) for field in descriptor.fields]

    def struct(values: Sequence[Any]) -> pa.Array:
        mask = pa.array([value is None for value in values], pa.bool_())
        if not fields:
            return pa.array([None if value is None else {} for value in values], pa.struct([]))
        return pa.StructArray.from_arrays(
            [field.array(values) for field in fields], names=[field.name for field in fields], mask=mask
        )

    return struct


def _prepared(prepare: Callable[[Any], Any], kind: pa.DataType) -> Values:
    return lambda values: pa.array([None if value is None else prepare(value) for value in values], kind)


def _decimal(value: Any) -> str:
    unscaled = int.from_bytes(value.value, "big", signed=True)
    return format(Decimal(unscaled).scaleb(-value.scale), "f")


def varints(data: bytes, start: int) -> Iterable[tuple[int, int]]:
    """The varints of a buffer from `start` on, in zigzag, each with where it ends. Stops where there is none."""
    value = shift = 0
    for place in range(start, len(data)):
        value |= (data[place] & 0x7F) << shift
        shift += 7
        if data[place] < 0x80:
            yield (value >> 1) ^ -(value & 1), place + 1
            value = shift = 0
        elif shift > 63:
            return
