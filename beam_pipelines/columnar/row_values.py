"""Python values to Arrow columns, strictly: a value that doesn't fit its field is a null and a failure.

Never raises for a value, whatever it is. Columns of the expected Python type are converted at once;
others value by value (about 1 µs each).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

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
# The grammars are those of decoding, so that a text means the same in a file and in a row.
_DECIMAL_TEXT = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DATE_TEXT = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_TIME_TEXT = re.compile(
    _DATE_TEXT.pattern + r"[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(?:(Z)|([+-])(\d\d):?(\d\d)?)?", re.ASCII
)

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
    kind = field.type
    expected, phrase = next(
        ((types, text) for is_kind, types, text in _KINDS if is_kind(kind)), (frozenset(), "{kind}")
    )
    types = set(map(type, values)) - {type(None)}
    if types <= expected and (array := _in_bulk(values, kind)) is not None:
        return array, {}
    if types == {str} and pa.types.is_temporal(kind) and (array := _texts_in_bulk(values, kind)) is not None:
        return array, {}

    fitted, wrong = _fit_all(values, lambda value: _read(value, field), phrase.format(kind=kind))
    array = None if wrong and len(wrong) == len(values) else _in_bulk(fitted, kind)
    if array is None:
        fitted, more = _fit_all(fitted, lambda value: _hold(value, kind), phrase.format(kind=kind))
        wrong |= more
        array = pa.array(fitted, kind)
    failures = {
        place: failure(TYPE_RULE, field.name, HIDDEN if field.sensitive else shown(values[place]), message)
        for place, message in sorted(wrong.items())
    }
    return array, failures


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


def _texts_in_bulk(values: list[Any], kind: pa.DataType) -> pa.Array | None:
    """Convert texts of dates or of times with zones at once; None if that can't vouch for all of them."""
    try:
        array = pa.array(values, pa.string()).cast(kind)
    except (ValueError, TypeError, pa.ArrowException):
        return None
    return array if _in_years(array) else None


def _in_years(times: pa.Array) -> bool:
    if pa.types.is_date32(times.type):
        times = times.cast(pa.timestamp("us"))
    bounds = pc.min_max(times.cast(pa.int64())).as_py()
    return bounds["min"] is None or EARLIEST_MICROS <= bounds["min"] <= bounds["max"] <= LATEST_MICROS


def _fit_all(values: list[Any], fit: Callable[[Any], Any], phrase: str) -> tuple[list[Any], dict[int, str]]:
    """Return what `fit` makes of each value, None for those it refuses, and why it does by place."""
    fitted, wrong = [], {}
    for place, value in enumerate(values):
        result, message = _fit_one(value, fit, phrase)
        fitted.append(result)
        if message is not None:
            wrong[place] = message
    return fitted, wrong


def _fit_one(value: Any, fit: Callable[[Any], Any], phrase: str) -> tuple[Any, str | None]:
    try:
        return None if value is None else fit(value), None
    except _MisfitError as error:
        return None, str(error)
    except (ValueError, TypeError, ArithmeticError, pa.ArrowException):
        return None, f"expected {phrase}, got {named(value)}"


def _hold(value: Any, kind: pa.DataType) -> Any:
    """Return a value of the right Python type if the Arrow type holds it."""
    try:
        pa.scalar(value, kind)
    except UnicodeEncodeError:
        raise _MisfitError("the text has a lone surrogate, which UTF-8 can't hold") from None
    except (pa.ArrowInvalid, OverflowError):
        raise _MisfitError(f"the value does not fit {kind}") from None
    return value


def _read(value: Any, field: Field) -> Any:
    """Return a value as the Python type that Arrow takes for the field."""
    kind = field.type
    if isinstance(value, np.generic):
        value = value.item()
    if pa.types.is_timestamp(kind):
        return _timestamp(value, field)
    if pa.types.is_date32(kind):
        return _date(value)
    if pa.types.is_decimal(kind):
        return _decimal(value)
    if pa.types.is_floating(kind):
        return _float(value)
    expected = ((pa.types.is_integer, int), (pa.types.is_string, str), (pa.types.is_boolean, bool))
    python_type = next((python_type for is_kind, python_type in expected if is_kind(kind)), object)
    if not isinstance(value, python_type) or (isinstance(value, bool) and python_type is int):
        raise TypeError
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
        if not value:
            return 0  # Arrow refuses 0E+5 for its exponent
        if value.adjusted() > 76:  # more digits than any decimal of Arrow; writing them out could take GBs
            raise _MisfitError("the value has too many digits")
    return value


def _date(value: Any) -> dt.date:
    if isinstance(value, str) and (match := _DATE_TEXT.fullmatch(value)):
        return dt.date(*map(int, match.groups()))
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise TypeError
    return value


def _time_of(text: str) -> dt.datetime:
    match = _TIME_TEXT.fullmatch(text)
    if match is None:
        raise TypeError
    *numbers, fraction, utc, sign, hours, minutes = match.groups(default="0")
    year, month, day, hour, minute, second = map(int, numbers)
    moment = dt.datetime(year, month, day, hour, minute, second, int(fraction[:6].ljust(6, "0")))
    if sign == "0":
        return moment.replace(tzinfo=dt.timezone.utc) if utc == "Z" else moment
    if int(minutes) > 59:
        raise TypeError
    offset = dt.timedelta(hours=int(hours), minutes=int(minutes))
    return moment.replace(tzinfo=dt.timezone(offset if sign == "+" else -offset))


def _timestamp(value: Any, field: Field) -> dt.datetime:
    if isinstance(value, str):
        value = _time_of(value)
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
