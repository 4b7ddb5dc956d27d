"""Python values to Arrow columns, strictly: a value that doesn't fit its field is a null and a failure.

Never raises for a value, whatever it is. Columns of the expected Python type are converted at once;
others value by value (about 1 µs each).
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import HIDDEN, SHOWN_CHARS
from beam_pipelines.contract.model import Field
from beam_pipelines.dead_letters import failure

TYPE_RULE = "type"

EARLIEST_MICROS = -62_135_596_800_000_000
LATEST_MICROS = 253_402_300_799_999_999
"""Microseconds of the years 1 to 9999, which Python's datetime, SQL and ISO 8601 can all write."""

Failure = dict[str, str | None]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_DECIMAL_TEXT = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)

_KINDS: tuple[tuple[Any, frozenset[type], str], ...] = (
    (pa.types.is_string, frozenset({str}), "a string"),
    (pa.types.is_binary, frozenset({bytes}), "bytes"),
    (pa.types.is_boolean, frozenset({bool}), "a boolean"),
    (pa.types.is_integer, frozenset({int}), "an integer ({kind})"),
    (pa.types.is_floating, frozenset({float, int}), "a number"),
    (pa.types.is_decimal, frozenset({Decimal, int}), "a number ({kind})"),
    (pa.types.is_date32, frozenset({dt.date}), "a date or its ISO 8601 text"),
    (pa.types.is_timestamp, frozenset({dt.datetime}), "a timestamp or its ISO 8601 text"),
    (pa.types.is_nested, frozenset({list, tuple, dict}), "{kind}"),
)
"""The Python types that Arrow converts as strictly as we do, and what to call a kind in a message."""


def column_of(values: list[Any], field: Field) -> tuple[pa.Array, dict[int, Failure]]:
    """Return a column of the field's type, and the failures by place of the values that don't fit.

    What fits which type is told in `rows.batch_of`.

    >>> column, failures = column_of([1, "2", None], Field("n", pa.int64()))
    >>> column.to_pylist(), failures[1]["message"]
    ([1, None, None], 'expected an integer (int64), got a str')
    """
    expected, phrase = next(
        ((types, text) for is_kind, types, text in _KINDS if is_kind(field.type)), (frozenset(), "{kind}")
    )
    if set(map(type, values)) <= {*expected, type(None)} and (array := _in_bulk(values, field.type)) is not None:
        return array, {}
    phrase = phrase.format(kind=field.type)
    converted: list[Any] = []
    failures: dict[int, Failure] = {}
    for place, value in enumerate(values):
        fitted, wrong = _fitted(value, field, phrase)
        converted.append(fitted)
        if wrong is not None:
            failures[place] = failure(TYPE_RULE, field.name, HIDDEN if field.sensitive else shown(value), wrong)
    return pa.array(converted, field.type), failures


def shown(value: Any) -> str:
    """Return a value's text, cut to SHOWN_CHARS and fit for UTF-8; its type if it has none."""
    try:
        text = str(value)
        text = text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"
        return text.encode("utf-8", "replace").decode()
    except Exception:  # a foreign __str__, or an int of more digits than Python prints
        return f"<{type(value).__name__}>"


def named(value: Any) -> str:
    """Return a value's type with its article, as in `a str`."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


class _MisfitError(ValueError):
    """A value of the right type that its field can't hold; the message shows no value."""


def _in_bulk(values: list[Any], kind: pa.DataType) -> pa.Array | None:
    """Convert a column at once; None if a value doesn't fit, to find out which."""
    times = pa.types.is_timestamp(kind)
    if times and any(value is not None and value.tzinfo is None for value in values):
        return None
    try:
        array = pa.array(values, kind)
    except (ValueError, TypeError, OverflowError, pa.ArrowException):
        return None
    if times and not _in_years(array):
        return None
    if pa.types.is_floating(kind) and pc.all(pc.is_finite(array)).as_py() is False:
        return None
    return array


def _in_years(times: pa.Array) -> bool:
    bounds = pc.min_max(times.cast(pa.int64())).as_py()
    return bounds["min"] is None or EARLIEST_MICROS <= bounds["min"] <= bounds["max"] <= LATEST_MICROS


def _fitted(value: Any, field: Field, phrase: str) -> tuple[Any, str | None]:
    """Return the value as Arrow takes it, or None and what is wrong with it."""
    try:
        return None if value is None else _fit(value, field), None
    except _MisfitError as error:
        return None, str(error)
    except (ValueError, TypeError, ArithmeticError, msgspec.ValidationError, pa.ArrowException):
        return None, f"expected {phrase}, got {named(value)}"


def _fit(value: Any, field: Field) -> Any:
    kind = field.type
    if isinstance(value, np.generic):
        value = value.item()
    if pa.types.is_timestamp(kind):
        return _timestamp(value, field)
    if pa.types.is_date32(kind):
        return _date(value)
    if pa.types.is_decimal(kind):
        value = _decimal(value)
    elif pa.types.is_floating(kind):
        value = _float(value)
    else:
        expected = ((pa.types.is_integer, int), (pa.types.is_string, str), (pa.types.is_boolean, bool))
        python_type = next((python_type for is_kind, python_type in expected if is_kind(kind)), object)
        if not isinstance(value, python_type) or (isinstance(value, bool) and python_type is int):
            raise TypeError
    try:
        pa.scalar(value, kind)
    except UnicodeEncodeError:
        raise _MisfitError("the text has a lone surrogate, which UTF-8 can't hold") from None
    except (pa.ArrowInvalid, OverflowError):
        raise _MisfitError(f"the value does not fit {kind}") from None
    return value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    number = float(value)
    if not np.isfinite(number):
        raise _MisfitError("NaN and Infinity are not numbers of a contract")
    return number


def _decimal(value: Any) -> Decimal | int:
    if isinstance(value, float):
        value = Decimal(repr(value))  # the shortest decimal that reads back as this float
    elif isinstance(value, str) and _DECIMAL_TEXT.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise TypeError
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise _MisfitError("NaN and Infinity are not numbers of a contract")
        if value and value.adjusted() > 76:  # more digits than any decimal of Arrow; writing them out could take GBs
            raise _MisfitError("the value has too many digits")
    return value


def _date(value: Any) -> dt.date:
    if isinstance(value, str):
        return msgspec.convert(value, dt.date)
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise TypeError
    return value


def _timestamp(value: Any, field: Field) -> dt.datetime:
    if isinstance(value, str):
        value = msgspec.convert(value, dt.datetime)
    micros = getattr(value, "micros", value)  # of a Beam Timestamp
    if isinstance(micros, int) and not isinstance(micros, bool):
        if not EARLIEST_MICROS <= micros <= LATEST_MICROS:
            raise _MisfitError("the time is outside the years 1 to 9999")
        return _EPOCH + dt.timedelta(microseconds=micros)
    if not isinstance(value, dt.datetime):
        raise TypeError
    if value.tzinfo is None:
        if field.default_timezone is None:
            raise _MisfitError("the timestamp has no time zone, and the contract names no default one")
        zone = ZoneInfo(field.default_timezone)
        early, late = (value.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        if early.utcoffset() != late.utcoffset():  # PEP 495; as decoding does
            raise _MisfitError(f"clocks in {field.default_timezone} skip or repeat this local time")
        value = early
    return value.astimezone(dt.timezone.utc)


def python_values(values: pa.Array, name: str) -> list[Any]:
    """Return a column as Python values: Decimals, dates, datetimes in UTC, None for nulls.

    OverflowError, which names the column, for times outside the years 1 to 9999.

    >>> python_values(pa.array([0, None], pa.timestamp("us", "UTC")), "at")
    [datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc), None]
    """
    kind = values.type
    if pa.types.is_date32(kind) or pa.types.is_decimal(kind):  # to_pylist takes 3 to 30 times longer
        return values.to_numpy(zero_copy_only=False).astype(object).tolist()
    if not pa.types.is_timestamp(kind):
        return values.to_pylist()
    micros = values.cast(pa.timestamp("us"), safe=False)
    if not _in_years(micros):
        raise OverflowError(f"column '{name}' has times outside the years 1 to 9999, which a datetime can't hold")
    naive = micros.to_numpy(zero_copy_only=False).astype(object).tolist()
    if kind.tz is None:
        return naive
    zone = dt.timezone.utc
    return [None if moment is None else moment.replace(tzinfo=zone) for moment in naive]
