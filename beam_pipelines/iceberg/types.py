"""An Iceberg table's columns as Arrow has them, and the schema of a table that is made for rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

FIELD_ID = b"PARQUET:field_id"
"""Key in a field's metadata: the id by which Iceberg knows a column, in Arrow and in Parquet files."""


def arrow_schema(schema: Schema) -> pa.Schema:
    """The table's columns in Arrow, with their ids; texts and lists have offsets of 32 bits, as ours."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return pa.schema([_small_field(field) for field in schema_to_pyarrow(schema, include_field_ids=True)])


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
