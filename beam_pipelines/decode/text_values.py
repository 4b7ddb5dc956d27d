"""Texts of CSV cells and JSON values as typed columns: strict, vectorised and never raising.

What counts as a value (the grammars are regular expressions in RE2's syntax):

| type | accepted | refused, for example |
| --- | --- | --- |
| int32, int64 | `-?[0-9]+` within range | 1.0, 1e3, +1, 0x1F |
| float64 | decimal digits with point or exponent, finite | NaN, Infinity, 1e400, +1 |
| decimal(p,s) | the same, if it fits exactly | one digit more than p - s or s (zeros aside) |
| bool | true, false in any case | 1, yes |
| date32, timestamp | see `text_times` | 2023-02-30 |
"""

from __future__ import annotations

import decimal
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.contract.model import Field
from beam_pipelines.decode.bulk import Doubtful, Parsed, keep, matching, parse_in_bulk, used_bytes, verdict
from beam_pipelines.decode.text_times import parse_dates, parse_timestamps

NUMBER = r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"

MOST_DIGITS = 38
"""Digits of a decimal128, and the most that Arrow's parser reads."""


def from_text(text: pa.StringArray, field: Field) -> Parsed:
    """Parse texts as values of the field's type; a null text is a null value.

    >>> from_text(pa.array(["1", "1.0", None]), Field("n", pa.int32())).values.to_pylist()
    [1, None, None]
    """
    kind = field.type
    if pa.types.is_string(kind):
        return Parsed(text, None)
    if pa.types.is_boolean(kind):
        return _booleans(text)
    if pa.types.is_integer(kind):
        return _integers(text, kind)
    if pa.types.is_floating(kind):
        return _floats(text)
    if pa.types.is_decimal(kind):
        return _decimals(text, kind)
    if pa.types.is_date(kind):
        return parse_dates(text, field.date_format)
    return parse_timestamps(text, field.date_format, field.default_timezone)


def expected(field: Field) -> str:
    """Say what a text has to be for `from_text` to accept it.

    >>> expected(Field("price", pa.decimal128(7, 2)))
    'a number of at most 5 digits before the point and 2 after it'
    """
    kind = field.type
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_integer(kind):
        low, high = integer_range(kind)
        return f"a whole number from {low} to {high}"
    if pa.types.is_floating(kind):
        return "a finite number"
    if pa.types.is_decimal(kind):
        return f"a number of at most {kind.precision - kind.scale} digits before the point and {kind.scale} after it"
    if pa.types.is_date(kind):
        return f"a date as {field.date_format or 'yyyy-MM-dd'}"
    if pa.types.is_timestamp(kind):
        form = field.date_format or "yyyy-MM-ddTHH:mm:ss"
        zone = f"{field.default_timezone} time unless it has a zone" if field.default_timezone else "with a zone"
        return f"a timestamp as {form}, {zone}"
    return "a string"


def integer_range(kind: pa.DataType) -> tuple[int, int]:
    """Lowest and highest value of a signed integer type.

    >>> integer_range(pa.int32())
    (-2147483648, 2147483647)
    """
    return -(1 << (kind.bit_width - 1)), (1 << (kind.bit_width - 1)) - 1


def _booleans(text: pa.StringArray) -> Parsed:
    words = pc.ascii_lower(text)
    is_true = pc.equal(words, "true")
    known = pc.fill_null(pc.or_(is_true, pc.equal(words, "false")), False)
    return verdict(text, keep(known, is_true))


def _integers(text: pa.StringArray, kind: pa.DataType) -> Parsed:
    low, high = integer_range(kind)

    def quick(text: pa.StringArray) -> pa.Array:
        if (used_bytes(text) > ord("9")).any():
            raise Doubtful  # Arrow would read 0x1F
        return text.cast(kind)

    def exact(text: pa.StringArray) -> Parsed:
        digits = keep(matching(text, f"-?0*[0-9]{{1,{len(str(high))}}}"), text)
        wide = digits.cast(pa.decimal128(MOST_DIGITS, 0))
        limits = [pa.scalar(Decimal(limit), wide.type) for limit in (low, high)]
        inside = pc.and_(pc.greater_equal(wide, limits[0]), pc.less_equal(wide, limits[1]))
        return verdict(text, keep(pc.fill_null(inside, False), wide).cast(kind))

    return parse_in_bulk(text, quick, exact)


def _floats(text: pa.StringArray) -> Parsed:
    kind = pa.float64()

    def quick(text: pa.StringArray) -> pa.Array:
        if (used_bytes(text) == ord("+")).any():
            raise Doubtful  # Arrow would read +1
        values = text.cast(kind)
        if not pc.all(pc.is_finite(values), min_count=0).as_py():
            raise Doubtful
        return values

    def exact(text: pa.StringArray) -> Parsed:
        values = keep(matching(text, NUMBER), text).cast(kind)
        return verdict(text, keep(pc.fill_null(pc.is_finite(values), False), values))

    return parse_in_bulk(text, quick, exact)


_PLUS_AND_EXPONENT = np.frombuffer(b"+eE", np.uint8)


def _decimals(text: pa.StringArray, kind: pa.Decimal128Type) -> Parsed:
    whole, scale = kind.precision - kind.scale, kind.scale
    fits = rf"-?0*[0-9]{{0,{whole}}}(?:\.[0-9]{{0,{scale}}}0*)?"

    def quick(text: pa.StringArray) -> pa.Array:
        # Arrow's cast wraps around in silence when a number is too large for 128 bits once it has the scale.
        longest = pc.max(pc.binary_length(text)).as_py() or 0
        if longest > MOST_DIGITS - scale or np.isin(used_bytes(text), _PLUS_AND_EXPONENT).any():
            raise Doubtful
        return text.cast(kind)

    def exact(text: pa.StringArray) -> Parsed:
        number = matching(text, NUMBER)
        plain = pc.and_(number, matching(text, fits))
        texts = keep(plain, text)
        if (pc.max(pc.binary_length(texts)).as_py() or 0) > MOST_DIGITS:
            texts = pc.replace_substring_regex(texts, r"([0-9])\.0+$", r"\1")
            texts = pc.replace_substring_regex(texts, r"(\.[0-9]+?)0+$", r"\1")
            texts = pc.replace_substring_regex(texts, r"^(-?)0+([0-9])", r"\1\2")
        values = texts.cast(kind)
        scientific = pc.and_(number, pc.match_substring_regex(text, "[eE]"))
        if pc.any(scientific, min_count=0).as_py():
            found = [_exactly(each, kind) for each in text.filter(scientific).to_pylist()]
            values = pc.replace_with_mask(values, scientific, pa.array(found, kind))
        return verdict(text, values)

    return parse_in_bulk(text, quick, exact)


def _exactly(text: str, kind: pa.Decimal128Type) -> Decimal | None:
    """The number that a text with an exponent means, if the type holds it without loss."""
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except decimal.InvalidOperation:
        return None  # the exponent itself is out of bounds
    if not isinstance(exponent, int):
        return None
    significant = "".join(map(str, digits)).rstrip("0")
    exponent += len(digits) - len(significant)
    if not significant:
        return Decimal(0)
    if len(significant) + exponent > kind.precision - kind.scale or -exponent > kind.scale:
        return None
    return Decimal((sign, tuple(map(int, significant)), exponent))
