"""An Iceberg table's columns as Arrow has them, and the schema of a table that is made for rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

FIELD_ID = b"PARQUET:field_id"
"""Key in a field's metadata: the id by which Iceberg knows a column, in Arrow and in Parquet files."""


def arrow_schema(schema: Schema, *, with_ids: bool = True) -> pa.Schema:
    """The table's columns in Arrow; texts and lists have offsets of 32 bits, as ours."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return pa.schema([_small_field(field) for field in schema_to_pyarrow(schema, include_field_ids=with_ids)])


def new_schema(rows: pa.Schema, key: Sequence[str] = ()) -> Schema:
    """The schema of a table made for rows: ids as Iceberg gives them, the key as its identifier fields.

    ValueError for a type that Iceberg has no word for.
    """
    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema, assign_fresh_schema_ids

    needed = pa.schema([field.with_nullable(field.nullable and field.name not in key) for field in rows])
    schema = assign_fresh_schema_ids(Catalog._convert_schema_if_needed(needed))
    ids = [schema.find_field(name).field_id for name in key]
    if any(pa.types.is_floating(rows.field(name).type) for name in key):
        ids = []  # Iceberg wants no floats there
    return Schema(*schema.fields, identifier_field_ids=ids)


def evolved(rows: Any, table: Any) -> pa.DataType:
    """The type that a column becomes so that it takes the rows' values, as far as Iceberg lets it: else the table's.

    Integers and floats get more bits, decimals more digits of the same scale, objects more fields. pyiceberg alone
    would change a decimal's scale, which the specification forbids and other engines don't read.

    >>> evolved(pa.int64(), pa.int32()), evolved(pa.int16(), pa.int32()), evolved(pa.string(), pa.int32())
    (DataType(int64), DataType(int32), DataType(int32))
    >>> evolved(pa.decimal128(12, 2), pa.decimal128(9, 2)), evolved(pa.decimal128(12, 3), pa.decimal128(9, 2))
    (Decimal128Type(decimal128(12, 2)), Decimal128Type(decimal128(9, 2)))
    """
    kinds = pa.types
    if kinds.is_struct(rows) and kinds.is_struct(table):
        return pa.struct([*_evolved_fields(rows, table), *_added_fields(rows, table)])
    if kinds.is_list(rows) and kinds.is_list(table):
        return pa.list_(table.value_field.with_type(evolved(rows.value_type, table.value_type)))
    if kinds.is_integer(rows) and table == pa.int32():
        return pa.int64() if rows.bit_width + kinds.is_unsigned_integer(rows) > 32 else table
    if kinds.is_decimal(rows) and kinds.is_decimal(table) and rows.scale == table.scale:
        return rows if rows.precision > table.precision else table
    return rows if (rows, table) == (pa.float64(), pa.float32()) else table


def _evolved_fields(rows: Any, table: Any) -> list[pa.Field]:
    found = []
    for place in range(table.num_fields):
        field = table.field(place)
        if rows.get_field_index(field.name) >= 0:
            ours = rows.field(field.name)
            field = field.with_type(evolved(ours.type, field.type)).with_nullable(field.nullable or ours.nullable)
        found.append(field)
    return found


def _added_fields(rows: Any, table: Any) -> list[pa.Field]:
    """Older rows have no value of them."""
    fields = [rows.field(place) for place in range(rows.num_fields)]
    return [field.with_nullable(True) for field in fields if table.get_field_index(field.name) < 0]


def field_ids(kind: Any) -> list[tuple[str, int | None]]:
    """Paths and ids of all fields of an Arrow schema or type, as far as they have ids."""
    found: list[tuple[str, int | None]] = []
    for field in _children(kind):
        told = (field.metadata or {}).get(FIELD_ID)
        found.append((field.name, None if told is None else int(told)))
        found += [(f"{field.name}.{path}", number) for path, number in field_ids(field.type)]
    return found


def _children(kind: Any) -> list[pa.Field]:
    if isinstance(kind, pa.Schema):
        return list(kind)
    if pa.types.is_struct(kind):
        return [kind.field(place) for place in range(kind.num_fields)]
    if pa.types.is_map(kind):
        return [kind.key_field.with_name("key"), kind.item_field.with_name("value")]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [kind.value_field.with_name("element")]
    return []


def _small_field(field: pa.Field) -> pa.Field:
    told = (field.metadata or {}).get(FIELD_ID)
    return pa.field(field.name, _small(field.type), field.nullable, None if told is None else {FIELD_ID: told})


def _small(kind: Any) -> pa.DataType:
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_small_field(kind.value_field))
    if pa.types.is_struct(kind):
        return pa.struct([_small_field(kind.field(place)) for place in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(_small_field(kind.key_field), _small_field(kind.item_field))
    return kind
