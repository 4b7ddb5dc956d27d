"""Arrow values as JSON text (RFC 8259), a column at a time.

What JSON has no word for becomes a string: dates and times as ISO 8601, NaN and the infinities by those
names, bytes as text if they are UTF-8 and else in Base64. Decimals are numbers with all their digits.
"""

from __future__ import annotations

import base64

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

_NON_FINITE = {"nan": '"NaN"', "-nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


def json_text(values: pa.Array) -> pa.StringArray:
    """Return the JSON text of each value; that of null is `null`.

    About 100 ns a value; strings that need escapes cost more.

    >>> json_text(pa.array([{"a": 1, "b": ["x", None]}, None])).to_pylist()
    ['{"a":1,"b":["x",null]}', 'null']
    """
    return pc.fill_null(_text(values), "null")


def _text(values: pa.Array) -> pa.Array:
    """JSON texts, null where the value is."""
    kind = values.type
    kinds = pa.types
    if isinstance(values, pa.ExtensionArray):
        return _text(values.storage)
    if kinds.is_dictionary(kind):
        return _text(values.dictionary_decode())
    if kinds.is_null(kind):
        return values.cast(pa.string())
    if kinds.is_boolean(kind) or kinds.is_integer(kind) or kinds.is_decimal(kind):
        return values.cast(pa.string())
    if kinds.is_floating(kind):
        return _floats(values)
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return quoted(values.cast(pa.string()))
    if kinds.is_struct(kind):
        return _objects(values)
    if kinds.is_map(kind):
        return _maps(values)
    if isinstance(values, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):
        items = json_text(values.flatten())
        return _wrapped("[", _joined(items, values), "]")
    if kinds.is_timestamp(kind):
        return quoted(pc.replace_substring(values.cast(pa.string()), " ", "T", max_replacements=1))
    if kinds.is_temporal(kind):
        return quoted(values.cast(pa.string()))
    return quoted(pa.array([None if value is None else _of_bytes(value) for value in values.to_pylist()], pa.string()))


def quoted(text: pa.StringArray) -> pa.StringArray:
    """Return texts as JSON strings.

    >>> quoted(pa.array(['a "b"', None])).to_pylist()
    ['"a \\\\"b\\\\""', None]
    """
    if pc.any(pc.match_substring_regex(text, r'["\\\x00-\x1f]'), min_count=0).as_py():
        for plain, escaped in _ESCAPES:
            text = pc.replace_substring(text, plain, escaped)
        controls = pc.fill_null(pc.match_substring_regex(text, r"[\x00-\x1f]"), False)
        if pc.any(controls, min_count=0).as_py():
            mended = [_without_controls(each) for each in text.filter(controls).to_pylist()]
            text = pc.replace_with_mask(text, controls, pa.array(mended, pa.string()))
    return _wrapped('"', text, '"')


def _without_controls(text: str) -> str:
    return "".join(msgspec.json.encode(char).decode()[1:-1] if char < " " else char for char in text)


def _wrapped(before: str, text: pa.Array, after: str) -> pa.Array:
    return pc.binary_join_element_wise(before, text, after, "")


def _floats(values: pa.Array) -> pa.Array:
    text = values.cast(pa.string())
    if pc.all(pc.is_finite(values), min_count=0).as_py():
        return text
    for word, name in _NON_FINITE.items():
        text = pc.if_else(pc.equal(text, word), name, text)
    return text


def _objects(values: pa.StructArray) -> pa.Array:
    pieces: list[pa.Array | str] = []
    before = "{"
    for place, field in enumerate(values.type):
        pieces += [before + msgspec.json.encode(field.name).decode() + ":", json_text(values.field(place))]
        before = ","
    text = pa.repeat("{}", len(values)) if not pieces else pc.binary_join_element_wise(*pieces, "}", "")
    return pc.if_else(values.is_valid(), text, None) if values.null_count else text


def _maps(values: pa.MapArray) -> pa.Array:
    offsets = values.offsets
    first, last = offsets[0].as_py(), offsets[-1].as_py()
    keys = _text(values.keys.slice(first, last - first))
    if not pa.types.is_string(values.type.key_type):
        keys = pc.if_else(pc.starts_with(keys, '"'), keys, quoted(keys))
    items = json_text(values.items.slice(first, last - first))
    return _wrapped("{", _joined(pc.binary_join_element_wise(keys, items, ":"), values), "}")


def _joined(items: pa.StringArray, lists: pa.Array) -> pa.Array:
    """Join the texts of each list's items by commas."""
    if pa.types.is_map(lists.type):
        starts = lists.offsets.to_numpy()
        lengths = pa.array(starts[1:] - starts[:-1])
    else:
        lengths = pc.fill_null(pc.list_value_length(lists), 0)
    lengths = pc.if_else(lists.is_valid(), lengths, 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths.cast(pa.int64()))])
    text = pc.binary_join(pa.LargeListArray.from_arrays(offsets, items), ",")
    return pc.if_else(lists.is_valid(), text, None)


def _of_bytes(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
