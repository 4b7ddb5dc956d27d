"""Types of Avro (specification 1.12) as Arrow's, and what fastavro has to be told to make them cheaply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa

from beam_pipelines.errors import UsageError

_SIMPLE = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_LOGICAL = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    ("long", "timestamp-millis"): pa.timestamp("ms", "UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", "UTC"),
    ("long", "timestamp-nanos"): pa.timestamp("ns", "UTC"),
    ("long", "local-timestamp-millis"): pa.timestamp("ms"),
    ("long", "local-timestamp-micros"): pa.timestamp("us"),
    ("long", "local-timestamp-nanos"): pa.timestamp("ns"),
}
_WIDER = ("int", "long", "float", "double")
_NAMED = ("record", "enum", "fixed")

Prepare = Callable[[Any], Any]
"""Makes what Arrow takes for a value of what fastavro gives."""


class AvroColumn:
    """A field of the records: its name, its Arrow type, and how its values become Arrow's."""

    def __init__(self, name: str, kind: pa.DataType, prepare: Prepare | None) -> None:
        self.name = name
        self.type = kind
        self._prepare = prepare

    def array(self, records: list[dict[str, Any]]) -> pa.Array:
        """The column of the records' values."""
        values = [record[self.name] for record in records]
        if self._prepare is not None:
            values = [None if value is None else self._prepare(value) for value in values]
        return pa.array(values, self.type)


def avro_columns(schema: Any, path: str) -> list[AvroColumn]:
    """The columns of a file's records. UsageError for a schema that has none, or is recursive.

    A union of null and one type is that type, one of numbers the widest of them. A union of several
    other types is text: strings as they are, other values as JSON.
    """
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise UsageError(f"--input: '{path}' is Avro, but its schema is no record: rows need named fields")
    named: dict[str, Any] = {}
    _Reading(named, path).declare(schema)
    reading = _Reading(named, path)
    return [AvroColumn(field["name"], *reading.read(field["type"], ())) for field in schema["fields"]]


def without_times(schema: Any) -> Any:
    """The same schema without logical types of times: fastavro gives their numbers, and makes no objects.

    >>> without_times({"type": "long", "logicalType": "timestamp-micros"})
    {'type': 'long'}
    """
    if isinstance(schema, list):
        return [without_times(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {
        name: without_times(value) if name in ("type", "items", "values") else value for name, value in schema.items()
    }
    if plain.get("logicalType", "decimal") != "decimal":
        del plain["logicalType"]
    if "fields" in plain:
        plain["fields"] = [field | {"type": without_times(field["type"])} for field in plain["fields"]]
    return plain


class _Reading:
    """Types by name, as far as they are known."""

    def __init__(self, named: dict[str, Any], path: str) -> None:
        self._named = named
        self._path = path

    def declare(self, schema: Any, namespace: str = "") -> None:
        """Note the named types inside a schema."""
        if isinstance(schema, list):
            for each in schema:
                self.declare(each, namespace)
        elif isinstance(schema, dict):
            kind = schema.get("type")
            if kind in _NAMED:
                namespace = schema.get("namespace", namespace)
                name = schema["name"]
                full = name if "." in name or not namespace else f"{namespace}.{name}"
                self._named[full] = schema
                self._named.setdefault(name.rpartition(".")[2], schema)
                namespace = full.rpartition(".")[0]
            for inner in (kind, schema.get("items"), schema.get("values")):
                if isinstance(inner, (dict, list)):
                    self.declare(inner, namespace)
            for field in schema.get("fields", ()):
                self.declare(field["type"], namespace)

    def read(self, schema: Any, inside: tuple[int, ...]) -> tuple[pa.DataType, Prepare | None]:
        """The Arrow type of a schema, and how its values are prepared."""
        if isinstance(schema, list):
            return self._union(schema, inside)
        if isinstance(schema, str):
            if schema in _SIMPLE:
                return _SIMPLE[schema], None
            return self.read(self._named[schema if schema in self._named else schema.rpartition(".")[2]], inside)
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.read(kind, inside)
        if schema.get("logicalType") == "decimal":
            return _decimal(schema), None
        if (kind, schema.get("logicalType")) in _LOGICAL:
            return _LOGICAL[kind, schema["logicalType"]], None
        if kind == "enum":
            return pa.string(), None
        if kind == "fixed":
            return pa.binary(), None
        if kind == "array":
            item, prepare = self.read(schema["items"], inside)
            return pa.list_(item), _each(prepare)
        if kind == "map":
            value, prepare = self.read(schema["values"], inside)
            return pa.map_(pa.string(), value), _entries(prepare)
        if kind in ("record", "error"):
            return self._record(schema, inside)
        return self.read(kind, inside)

    def _record(self, schema: Any, inside: tuple[int, ...]) -> tuple[pa.DataType, Prepare | None]:
        if id(schema) in inside:
            raise UsageError(
                f"--input: '{self._path}' is Avro with a record '{schema['name']}' inside itself, which no columns hold"
            )
        parts = {field["name"]: self.read(field["type"], (*inside, id(schema))) for field in schema["fields"]}
        prepares = {name: prepare for name, (_, prepare) in parts.items() if prepare is not None}
        return pa.struct([(name, kind) for name, (kind, _) in parts.items()]), _members(prepares)

    def _union(self, schema: list[Any], inside: tuple[int, ...]) -> tuple[pa.DataType, Prepare | None]:
        branches = [branch for branch in schema if branch != "null"]
        if len(branches) == 1:
            return self.read(branches[0], inside)
        if not branches:
            return pa.null(), None
        if all(branch in _WIDER for branch in branches):
            widest = max(branches, key=_WIDER.index)
            # What int64 holds a 32-bit float doesn't.
            return (pa.float64() if widest in ("float", "double") else _SIMPLE[widest]), None
        return pa.string(), _as_text


def _decimal(schema: Any) -> pa.DataType:
    precision, scale = schema["precision"], schema.get("scale", 0)
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _each(prepare: Prepare | None) -> Prepare | None:
    if prepare is None:
        return None
    return lambda items: [None if item is None else prepare(item) for item in items]


def _entries(prepare: Prepare | None) -> Prepare:
    if prepare is None:
        return lambda entries: list(entries.items())
    return lambda entries: [(key, None if item is None else prepare(item)) for key, item in entries.items()]


def _members(prepares: dict[str, Prepare]) -> Prepare | None:
    if not prepares:
        return None

    def prepared(record: dict[str, Any]) -> dict[str, Any]:
        changed = {name: None if record[name] is None else prepare(record[name]) for name, prepare in prepares.items()}
        return record | changed

    return prepared
