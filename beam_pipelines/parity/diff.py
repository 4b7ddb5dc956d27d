"""Two tables as bags of rows: which rows are on one side alone. Order and files don't count, everything else does."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_SIDE, _COUNT, _PLACES = "__side", "__count", ("__in_left", "__in_right")
_BITS = {pa.float16(): pa.int16(), pa.float32(): pa.int32(), pa.float64(): pa.int64()}


@dataclasses.dataclass(frozen=True)
class Difference:
    """Rows that are on one side alone, and the first of them.

    `columns` tells of columns that differ in name or type; rows are compared only if none does. `first` holds
    (side, how many times more often there, row).
    """

    left_rows: int
    right_rows: int
    columns: tuple[str, ...] = ()
    left_only: int = 0
    right_only: int = 0
    first: tuple[tuple[str, int, dict[str, Any]], ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether there is none."""
        return not (self.columns or self.left_only or self.right_only)


def compare(left: pa.Table, right: pa.Table, *, show: int = 10) -> Difference:
    """Compare two tables as bags of rows, exactly: nulls are equal, floats are equal when their bits are.

    `show` rows of those that differ are kept, those alike next to each other. Both tables are in memory.

    >>> found = compare(pa.table({"a": [2, 1, 1]}), pa.table({"a": [1, 2, 3]}))
    >>> found.left_only, found.right_only, found.first
    (1, 1, (('left', 1, {'a': 1}), ('right', 1, {'a': 3})))
    """
    columns = _columns(left.schema, right.schema)
    if columns:
        return Difference(left.num_rows, right.num_rows, columns)
    names = left.schema.names
    right = right.select(names)
    keys = [f"key{number}" for number in range(len(names))]
    sides = [_canonical(table, keys, side) for table, side in ((left, 1), (right, -1))]
    together = pa.concat_tables(sides)
    bags = together.group_by(keys, use_threads=False).aggregate(
        [(_SIDE, "sum"), *((place, "min") for place in _PLACES)]
    )
    bags = bags.rename_columns([*keys, _COUNT, *_PLACES])
    differing = bags.filter(pc.not_equal(bags.column(_COUNT), 0))
    counts = differing.column(_COUNT)
    first = differing.sort_by([(key, "ascending") for key in keys]).slice(0, show)
    return Difference(
        left.num_rows,
        right.num_rows,
        left_only=pc.sum(counts.filter(pc.greater(counts, 0))).as_py() or 0,
        right_only=-(pc.sum(counts.filter(pc.less(counts, 0))).as_py() or 0),
        first=tuple(
            ("left", count, _row(left, in_left)) if count > 0 else ("right", -count, _row(right, in_right))
            for count, in_left, in_right in zip(
                *(first.column(name).to_pylist() for name in (_COUNT, *_PLACES)), strict=True
            )
        ),
    )


def _columns(left: pa.Schema, right: pa.Schema) -> tuple[str, ...]:
    """What is different about the columns; their order is not."""
    found = []
    for name in dict.fromkeys([*left.names, *right.names]):
        kinds = [str(schema.field(name).type) if name in schema.names else None for schema in (left, right)]
        if kinds[0] != kinds[1]:
            there = [f"{side}: {kind or 'not there'}" for side, kind in zip(("left", "right"), kinds, strict=True)]
            found.append(f"{name} ({', '.join(there)})")
    return tuple(found)


def _canonical(table: pa.Table, keys: list[str], side: int) -> pa.Table:
    """The columns in types that can be grouped and sorted, with side and place of each row."""
    columns = [comparable(column) for column in table.columns]
    rows = table.num_rows
    places, nowhere = pa.array(range(rows), pa.int64()), pa.nulls(rows, pa.int64())
    sides = pa.repeat(pa.scalar(side, pa.int64()), rows)
    here = [places, nowhere] if side > 0 else [nowhere, places]
    return pa.table([*columns, sides, *here], names=[*keys, _SIDE, *_PLACES])


def comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in a type that can be grouped by, in which values are equal that are equal to the last bit."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return comparable(column.cast(kind.value_type))
    if kind in _BITS:
        return pa.chunked_array([chunk.view(_BITS[kind]) for chunk in column.chunks], _BITS[kind])
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_nested(kind):  # of dead letters: a few rows
        return pa.chunked_array([[None if each is None else repr(each) for each in column.to_pylist()]], pa.string())
    return column


def _row(table: pa.Table, place: int) -> dict[str, Any]:
    return table.slice(place, 1).to_pylist()[0]


def shown(row: Mapping[str, Any]) -> str:
    """A row as one line. Bytes are raw payloads, as sensitive as the input: only their number and hash are shown.

    >>> shown({"a": 1, "payload": b"secret"})
    'a=1, payload=<6 bytes, sha256 2bb80d53…>'
    """
    return ", ".join(f"{name}={_value(value)}" for name, value in row.items() if value is not None)


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:8]}…>"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_value(each)}' for name, each in value.items())}}}"
    return value.isoformat() if hasattr(value, "isoformat") else repr(value) if isinstance(value, str) else str(value)
