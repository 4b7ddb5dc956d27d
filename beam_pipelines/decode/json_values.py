"""Plain JSON values as typed columns: what msgspec makes of each, and what is converted for whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import SHOWN_CHARS, Failed
from beam_pipelines.columnar.nested import Places
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.values import is_nested
from beam_pipelines.decode.bulk import used_bytes
from beam_pipelines.decode.decoded import TYPE
from beam_pipelines.decode.text_values import expected, from_text, integer_range

NULL = msgspec.Raw(b"null")
_KINDS = {
    ord('"'): "a string",
    ord("t"): "a boolean",
    ord("f"): "a boolean",
    ord("{"): "an object",
    ord("["): "an array",
    ord("n"): "null",
}
_NUMBER = "a number"

Wrong = tuple[int, bytes]
"""Where a value is that is none of its type, and the value as it is written."""


def mistyped_values(wrong: Sequence[Wrong], field: Field, places: Places) -> Failed:
    """Failures of values that are no values of the field's type."""
    at, values = zip(*wrong, strict=True)
    by_kind = {first: message_of(field, first) for first in {value[0] for value in values}}
    messages = [by_kind[value[0]] for value in values]
    # A character has at most four bytes; one cut in two is dropped with all that isn't shown.
    texts = [value[: 4 * SHOWN_CHARS + 4].decode(errors="ignore") for value in values]
    return places.failed(np.array(at, np.int64), TYPE, pa.array(messages, pa.string()), pa.array(texts, pa.string()))


def type_of(field: Field) -> Any:
    """What msgspec makes of a field's value; text is converted later, for all rows together."""
    kind = field.type
    if pa.types.is_boolean(kind):
        return bool | None
    if pa.types.is_integer(kind):
        low, high = integer_range(kind)
        return Annotated[int, msgspec.Meta(ge=low, le=high)] | None
    if pa.types.is_floating(kind):
        return float | None
    if pa.types.is_decimal(kind) or is_nested(kind):
        return msgspec.Raw
    return str | None


def array_of(values: list[Any], field: Field) -> pa.Array:
    """Make an array of what msgspec made of values; times and decimals are still texts."""
    kind = field.type
    if pa.types.is_decimal(kind):
        # Joined and split again: no Python object is made for a value. Only an object or array can hold
        # a line break, so the number of parts tells whether the parts are the values.
        parts = pc.split_pattern(pa.array([b"\n".join(values)], pa.string()), "\n").values
        return parts if len(parts) == len(values) else pa.array(list(map(bytes, values)), pa.string())
    return pa.array(values, pa.string() if pa.types.is_temporal(kind) else kind)


def typed(values: pa.Array, field: Field, places: Places, found: list[Failed]) -> pa.Array:
    """Convert what msgspec left as text; failures of what can't be go to `found`."""
    if pa.types.is_decimal(field.type):
        values = _decimal_texts(values, field, places, found)
    elif not pa.types.is_temporal(field.type):
        return values
    parsed = from_text(values, field)
    if parsed.invalid is not None:
        at = np.flatnonzero(parsed.invalid.to_numpy(zero_copy_only=False))
        found.append(places.failed(at, TYPE, f"expected {expected(field)}", values.take(pa.array(at))))
    return parsed.values


def _decimal_texts(texts: pa.StringArray, field: Field, places: Places, found: list[Failed]) -> pa.StringArray:
    """JSON values as texts of decimals: numbers as they are, strings without their quotes, others refused."""
    used = used_bytes(texts)
    if not ((used > ord("9")) | (used == ord('"'))).any():
        return texts
    starts = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts)]
    firsts = used[starts - starts[:1]]
    tokens = texts
    is_string = pa.array(firsts == ord('"'))
    texts = pc.if_else(is_string, pc.utf8_slice_codeunits(texts, 1, -1), texts)
    escaped = pc.and_(is_string, pc.match_substring(texts, "\\"))
    if pc.any(escaped, min_count=0).as_py():
        plain = [msgspec.json.decode(token, type=str) for token in tokens.filter(escaped).to_pylist()]
        texts = pc.replace_with_mask(texts, escaped, pa.array(plain, pa.string()))
    for first in map(ord, "tf{["):
        rows = np.flatnonzero(firsts == first)
        if rows.size:
            wrong = texts.take(pa.array(rows))
            found.append(places.failed(rows, TYPE, message_of(field, first), wrong))
    usable = pa.array(~np.isin(firsts, list(map(ord, "tf{[n"))))
    return pc.if_else(usable, texts, None)


def kind_of(text: bytes) -> str:
    """What kind of JSON value that is."""
    return _KINDS.get(text[0], _NUMBER)


def message_of(field: Field, first: int) -> str:
    """What was expected, and what kind of JSON value begins with that byte."""
    kind = _KINDS.get(first, _NUMBER)
    numeric = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    return f"expected {expected(field)}" + ("" if kind == _NUMBER and numeric else f", got {kind}")
