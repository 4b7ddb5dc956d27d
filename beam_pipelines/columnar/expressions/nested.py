"""What is inside structs and lists: fields, elements, how many there are, whether one is there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions.casts import convert
from beam_pipelines.columnar.expressions.compiler import find_column
from beam_pipelines.columnar.expressions.node import Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.types import (
    BOOLEAN,
    INTEGER,
    common_type,
    computed_type,
    kind_of,
    name_of,
    plain_literal,
)


def field(node: Node, name: str, sql: str) -> Node:
    """A field of a struct; NULL where the struct is."""
    if not pa.types.is_struct(node.type):
        raise OperandError(f"'{node.sql}' is {name_of(node.type)}, not a struct: it has no field '{name}'")
    fields = pa.schema(list(node.type))
    found = find_column(name, fields, "field")
    place = fields.get_field_index(found)
    type = computed_type(fields.field(place).type)
    return apply(_field, (node,), type, sql, place, type)


def element(node: Node, place: int, sql: str) -> Node:
    """The element of a list at a place, of which 0 is the first and -1 the last; NULL where there is none."""
    type = computed_type(_list("[…]", node).value_type)
    return apply(_element, (node,), type, sql, place, type)


def count(node: Node, sql: str) -> Node:
    """How many elements a list has."""
    _list("LEN", node)
    return apply(_count, (node,), INTEGER, sql)


def contains(node: Node, wanted: Node, sql: str) -> Node:
    """Whether an element equals a value. NULL for no list and for NULL, which no element equals."""
    type = computed_type(_list("LIST_CONTAINS", node).value_type)
    if common_type((plain_literal(type), wanted)) != type or kind_of(type) == "other":
        raise OperandError(f"'{sql}': elements are {name_of(type)}, not {name_of(wanted.type)}: CAST the value")
    return apply(_contains, (node, convert(wanted, type)), BOOLEAN, sql, type)


def _list(function: str, node: Node) -> pa.DataType:
    if not (pa.types.is_list(node.type) or pa.types.is_large_list(node.type)):
        raise OperandError(f"{function} takes lists, but '{node.sql}' is {name_of(node.type)}")
    return node.type


def _computed(values: Values, type: pa.DataType) -> Values:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values if values.type == type else values.cast(type)


def _field(values: Values, place: int, type: pa.DataType) -> Values:
    return _computed(pc.struct_field(values, [place]), type)


def _element(values: Values, place: int, type: pa.DataType) -> Values:
    return _computed(pick(values, place), type)


def pick(values: Values, place: int) -> Values:
    """The element of each list at a place (the first is 0, the last -1), null where there is none."""
    counts = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    places = place if place >= 0 else counts + place
    there = (places < counts) & (places >= 0)
    starts = values.offsets.to_numpy(zero_copy_only=False)[:-1].astype(np.int64)
    return values.values.take(pa.array(starts + places, mask=~there))


def _count(values: Values) -> Values:
    return pc.list_value_length(values).cast(INTEGER)


def _contains(values: Values, wanted: Values, type: pa.DataType) -> Values:
    rows = pc.list_parent_indices(values)
    elements = _computed(pc.list_flatten(values), type)
    same = pc.fill_null(pc.equal(elements, wanted if isinstance(wanted, pa.Scalar) else wanted.take(rows)), False)
    found = np.zeros(len(values), bool)
    found[rows.filter(same).to_numpy(zero_copy_only=False)] = True
    unknown = pc.is_null(values)
    if not isinstance(wanted, pa.Scalar):
        unknown = pc.or_(unknown, pc.is_null(wanted))
    elif not wanted.is_valid:
        return pa.nulls(len(values), BOOLEAN)
    return pc.if_else(unknown, pa.scalar(None, BOOLEAN), pa.array(found))
