"""Which masks a field can have. What each does to the values is in `mask/methods.py`."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa

from beam_pipelines.contract.field import Field
from beam_pipelines.contract.values import is_nested
from beam_pipelines.errors import did_you_mean

TIMESTAMP_UNITS = ("year", "quarter", "month", "week", "day", "hour")
DATE_UNITS = TIMESTAMP_UNITS[:4]
"""`generalise:UNIT` for dates and timestamps; a date cut to its day would hide nothing."""


def check_mask(field: Field) -> str | None:
    """Return what is wrong with a field's mask for a field of its type and role; None when it is fine.

    >>> import pyarrow as pa
    >>> from beam_pipelines.contract.field import Mask
    >>> check_mask(Field("born", pa.date32(), mask=Mask("generalise", "yaer")))
    "field 'born': mask 'generalise:yaer' needs a unit of time: year, quarter, month, week. Did you mean 'year'?"
    >>> check_mask(Field("born", pa.date32(), mask=Mask("generalise", "year"))) is None
    True
    """
    if field.mask is None:
        return None
    wrong = _wrong_role(field) or _wrong_type(field)
    return None if wrong is None else f"field '{field.name}': mask '{field.mask}' {wrong}"


def multiple_of(argument: str | None) -> Decimal | None:
    """Read the number of `generalise:NUMBER`; None if it is not a plain positive number.

    >>> multiple_of("0.5")
    Decimal('0.5')
    >>> multiple_of("month") is None
    True
    """
    if argument is None or re.fullmatch(r"\d+(\.\d+)?", argument, re.ASCII) is None:
        return None
    return Decimal(argument) or None


def _wrong_role(field: Field) -> str | None:
    if field.event_time:
        return (
            "hides the event time, from which windows are made: leave the field unmasked and classify it "
            "public, or take another field as eventTime"
        )
    if field.partition_position is not None and field.mask is not None and field.mask.method == "drop":
        return "drops a partition column: choose another mask, or don't partition by it"
    return None


def _wrong_type(field: Field) -> str | None:
    mask, kind = field.mask, field.type
    if mask is None or mask.method in ("drop", "redact"):
        return None
    if is_nested(kind):
        return f"is for plain values, not for {kind}: use drop or redact, or mask the fields inside it"
    if mask.method == "pseudonym":
        return None
    text = pa.types.is_string(kind)
    if mask.method == "keep_last":
        if mask.argument is None or not mask.argument.isdecimal() or int(mask.argument) < 1:
            return "needs a number of characters, as in keep_last:4"
        return None if text else f"is for strings, not for {kind}: use redact, generalise or pseudonym"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        units = TIMESTAMP_UNITS if pa.types.is_timestamp(kind) else DATE_UNITS
        if mask.argument in units:
            return None
        return f"needs a unit of time: {', '.join(units)}." + _nearest(mask.argument, units)
    number = multiple_of(mask.argument)
    whole = number is not None and number == number.to_integral_value()
    if text:
        return None if whole else "needs a number of leading characters to keep, as in generalise:3"
    if pa.types.is_integer(kind):
        return None if whole and number != 1 else "needs a whole number above 1 to round down to, as in generalise:10"
    if pa.types.is_floating(kind):
        return None if number is not None else "needs a positive number to round down to, as in generalise:10"
    if pa.types.is_decimal(kind):
        return _wrong_decimal(number, kind)
    return f"is not possible for {kind}: use drop, redact or pseudonym"


def _wrong_decimal(number: Decimal | None, kind: pa.DataType) -> str | None:
    steps = Fraction(number or 0) * 10**kind.scale
    if steps <= 1 or steps.denominator != 1 or steps >= 10**kind.precision:
        return f"needs a number to round down to that {kind} can hold, as in generalise:10"
    return None


def _nearest(unit: str | None, units: tuple[str, ...]) -> str:
    text = did_you_mean(unit or "", units)
    return text if text.startswith(" Did you mean") else ""
