"""Arrow values of any type as values of a contract's field: exact, vectorised and never raising.

| the field | takes, value by value |
| --- | --- |
| int32, int64 | whole numbers of any numeric type that are within range |
| float64 | integers up to 2^53, floats, decimals (rounded once) |
| decimal(p,s) | numbers that fit exactly; a float is the shortest decimal that reads as it |
| bool | booleans |
| date32 | dates |
| timestamp | timestamps of any unit (nanoseconds are cut); without a zone only under a default time zone |
| string | strings, and bytes that are UTF-8 |
| any | texts, parsed as the cells of a CSV file are |
| object, array, map | structs by the names of their fields, lists, maps |

So a column that is narrower or wider than the contract's costs those rows a failure whose values don't fit.
"""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import Failed, Rows, failed
from beam_pipelines.columnar.zones import localise
from beam_pipelines.contract.field import Field, child_path
from beam_pipelines.contract.values import is_nested
from beam_pipelines.decode.bulk import Parsed, keep, parse_in_bulk, verdict
from beam_pipelines.decode.decoded import TYPE
from beam_pipelines.decode.encoding import not_utf8
from beam_pipelines.decode.text_values import expected, from_text, integer_range

_EXACT_FLOAT = 2**53
_LONGEST_INTEGER = pa.decimal128(38, 0)


def from_arrow(values: pa.Array, field: Field, found: list[Failed]) -> pa.Array:
    """Return values as those of the field, null where one is not; adds failures to `found`.

    >>> found: list[Failed] = []
    >>> from_arrow(pa.array([1.0, 2.5]), Field("n", pa.int64()), found).to_pylist(), len(found[0].rows)
    ([1, None], 1)
    """
    if values.type == field.type and not field.children and not pa.types.is_string(values.type):
        return values
    return _convert(values, field, field.name, np.arange(len(values)), found)


def _convert(values: pa.Array, field: Field, path: str, rows: Rows, found: list[Failed]) -> pa.Array:
    """Convert values, the first of which is of row `rows[0]`, and so on."""
    values = _plain(values)
    if is_nested(field.type):
        inside = _nested(values, field, path, rows, found)
        if inside is not None:
            return inside
        parsed = _none(values, field)
    else:
        parsed = _scalars(values, field)
    if parsed.invalid is not None:
        places = np.flatnonzero(pc.fill_null(parsed.invalid, False).to_numpy(zero_copy_only=False))
        wrong = values.take(pa.array(places))
        shown = wrong.cast(pa.string()) if _has_text(wrong) else None
        hint = "" if pa.types.is_string(values.type) else f", the file has {values.type}"
        sought = f"a {field.type}" if is_nested(field.type) else expected(field)
        found.append(failed(rows[places], TYPE, path, f"expected {sought}{hint}", shown, field.sensitive))
    return parsed.values


def _has_text(values: pa.Array) -> bool:
    kind = values.type
    if pa.types.is_string(kind):
        return not not_utf8(pc.fill_null(values.view(pa.binary()), b""))
    return not (pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) or is_nested(kind))


def _plain(values: pa.Array) -> pa.Array:
    """Without dictionaries, extension types, and types that only differ in their layout."""
    if isinstance(values, pa.ExtensionArray):
        return _plain(values.storage)
    kind, kinds = values.type, pa.types
    if kinds.is_dictionary(kind):
        return _plain(values.dictionary_decode())
    if kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return values.cast(pa.string())
    if kinds.is_large_binary(kind) or kinds.is_binary_view(kind):
        return values.cast(pa.binary())
    return values


def _scalars(values: pa.Array, field: Field) -> Parsed:
    source, target, kinds = values.type, field.type, pa.types
    if kinds.is_string(source):  # files may claim what isn't so, and Arrow believes them
        return _bytes(values.view(pa.binary()), field)
    if source == target:
        return Parsed(values, None)
    if kinds.is_null(source):
        return Parsed(values.cast(target), None)
    if kinds.is_binary(source):
        return _bytes(values, field)
    if _is_number(source) and _is_number(target):
        return _numbers(values, field)
    if kinds.is_date(source) and kinds.is_date(target):
        return Parsed(values.cast(target), None)
    if kinds.is_timestamp(source) and kinds.is_timestamp(target):
        return _timestamps(values, field)
    return _none(values, field)


def _none(values: pa.Array, field: Field) -> Parsed:
    """No value of this type is one of the field's."""
    nulls = pa.nulls(len(values), field.type)
    return Parsed(nulls, values.is_valid() if values.null_count < len(values) else None)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _bytes(values: pa.BinaryArray, field: Field) -> Parsed:
    rows = not_utf8(pc.fill_null(values, b""))
    if not rows:
        return from_text(values.cast(pa.string()), field)
    wrong = np.zeros(len(values), np.bool_)
    wrong[rows] = True
    mask = pa.array(wrong)
    text = pc.if_else(mask, None, values).cast(pa.string())
    parsed = from_text(text, field)
    invalid = mask if parsed.invalid is None else pc.or_(mask, parsed.invalid)
    return Parsed(parsed.values, invalid if pc.any(invalid, min_count=0).as_py() else None)


def _numbers(values: pa.Array, field: Field) -> Parsed:
    target = field.type
    if pa.types.is_integer(target):
        return parse_in_bulk(values, lambda each: each.cast(target), functools.partial(_whole, target=target))
    if pa.types.is_decimal(target):
        return _decimals(values, field)
    if pa.types.is_integer(values.type):
        return parse_in_bulk(values, lambda each: each.cast(target), _exact_floats)
    if pa.types.is_decimal(values.type):  # Arrow's own cast is off by an ulp
        return from_text(values.cast(pa.string()), field)
    return Parsed(values.cast(target), None)


def _whole(values: pa.Array, target: pa.DataType) -> Parsed:
    """Whole numbers within the target's range."""
    low, high = integer_range(target)
    if pa.types.is_floating(values.type):
        bound = float(high) + 1  # a power of two: exact, and the first float above the range
        doubles = values.cast(pa.float64())
        fits = pc.and_(pc.greater_equal(doubles, -bound), pc.less(doubles, bound))
        doubles = keep(pc.fill_null(pc.and_(fits, pc.equal(doubles, pc.trunc(doubles))), False), doubles)
        return verdict(values, doubles.cast(target))
    if pa.types.is_decimal(values.type):
        text = pc.replace_substring_regex(values.cast(pa.string()), r"\.0*$", "")
        return verdict(values, from_text(text, Field("n", target)).values)
    wide = values.cast(_LONGEST_INTEGER)
    limits = [pa.scalar(limit, _LONGEST_INTEGER) for limit in (low, high)]
    fits = pc.and_(pc.greater_equal(wide, limits[0]), pc.less_equal(wide, limits[1]))
    return verdict(values, keep(pc.fill_null(fits, False), wide).cast(target))


def _exact_floats(values: pa.Array) -> Parsed:
    doubles = values.cast(pa.float64(), safe=False)
    exact = pc.and_(pc.less_equal(doubles, float(_EXACT_FLOAT)), pc.greater_equal(doubles, -float(_EXACT_FLOAT)))
    return verdict(values, keep(pc.fill_null(exact, False), doubles))


def _decimals(values: pa.Array, field: Field) -> Parsed:
    target = field.type
    if pa.types.is_decimal(values.type):

        def quick(each: pa.Array) -> pa.Array:
            return each.cast(target)

        def exact(each: pa.Array) -> Parsed:
            return verdict(each, from_text(each.cast(pa.string()), field).values)

        return parse_in_bulk(values, quick, exact)
    parsed = from_text(values.cast(pa.string()), field)
    return verdict(values, parsed.values)


def _timestamps(values: pa.Array, field: Field) -> Parsed:
    target = field.type
    if values.type.unit == "ns":
        counts = values.cast(pa.int64())
        micros = pa.array(np.floor_divide(pc.fill_null(counts, 0).to_numpy(), 1000))
        if counts.null_count:
            micros = pc.if_else(counts.is_valid(), micros, None)
        values = micros.cast(pa.timestamp("us", values.type.tz))
    if values.type.tz is not None:
        return parse_in_bulk(values, lambda each: each.cast(target), _in_range)
    if field.default_timezone is None:
        return _none(values, field)
    local = parse_in_bulk(values, lambda each: each.cast(pa.timestamp("us")), _in_range)
    instants, _ = localise(local.values.cast(pa.timestamp("us")), field.default_timezone)
    return verdict(values, instants)


def _in_range(values: pa.Array) -> Parsed:
    """Timestamps of seconds or milliseconds that can be told in microseconds."""
    factor = {"s": 1_000_000, "ms": 1000}[values.type.unit]
    counts = values.cast(pa.int64())
    bound = (2**63 - 1) // factor
    fits = pc.fill_null(pc.and_(pc.less_equal(counts, bound), pc.greater_equal(counts, -bound)), False)
    return verdict(values, keep(fits, values).cast(pa.timestamp("us", values.type.tz)))


def _nested(values: pa.Array, field: Field, path: str, rows: Rows, found: list[Failed]) -> pa.Array | None:
    """Convert structs, lists and maps part by part; None if the values are no such thing."""
    kinds = pa.types
    if kinds.is_null(values.type):
        return values.cast(field.type)
    absent = values.is_null()
    if kinds.is_struct(field.type) and kinds.is_struct(values.type):
        names = [each.name for each in values.type]
        parts = dict(zip(names, values.flatten(), strict=True))
        columns = [
            _convert(parts[child.source_name], child, child_path(field, child, path), rows, found)
            if child.source_name in parts
            else pa.nulls(len(values), child.type)
            for child in field.children
        ]
        return pa.StructArray.from_arrays(columns, fields=list(field.type), mask=absent)
    if kinds.is_list(field.type) and isinstance(values, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):
        lengths = pc.if_else(absent, 0, pc.fill_null(pc.list_value_length(values), 0))
        parents = rows[np.repeat(np.arange(len(values)), lengths.to_numpy(zero_copy_only=False))]
        items = _convert(
            values.flatten(), field.children[0], child_path(field, field.children[0], path), parents, found
        )
        return pa.ListArray.from_arrays(_offsets(lengths), items, type=field.type, mask=absent)
    if kinds.is_map(field.type) and kinds.is_map(values.type):
        offsets = values.offsets.to_numpy()
        lengths = pc.if_else(absent, 0, pa.array(np.diff(offsets)))
        parents = rows[np.repeat(np.arange(len(values)), lengths.to_numpy(zero_copy_only=False))]
        entries = slice(int(offsets[0]), int(offsets[-1]))
        sides = [
            _convert(part[entries.start : entries.stop], child, child_path(field, child, path), parents, found)
            for part, child in zip((values.keys, values.items), field.children, strict=True)
        ]
        if sides[0].null_count:  # a key that is no such key leaves the entry out; its row has failed
            return None
        return pa.MapArray.from_arrays(_offsets(lengths), *sides, type=field.type, mask=absent)
    return None


def _offsets(lengths: pa.Array) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths.to_numpy(zero_copy_only=False), out=offsets[1:])
    return pa.array(offsets)
