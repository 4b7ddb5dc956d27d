"""SQLAlchemy's types as Arrow's, and the other way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from beam_pipelines.errors import UsageError

KEY_LENGTH = 190
"""Characters of a text in a key: what MySQL's four-byte characters leave."""

MAX_DIGITS = 38


def arrow_type(kind: TypeEngine[Any], dialect: str) -> pa.DataType | None:
    """The Arrow type that takes all values of a column; None if there is none, so that they are read as texts.

    >>> arrow_type(sa.Numeric(10, 2), "oracle"), arrow_type(sa.Interval(), "oracle")
    (Decimal128Type(decimal128(10, 2)), None)
    """
    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.Integer):
        return _integer(kind, dialect)
    if isinstance(kind, sa.Float):
        return pa.float64()
    if isinstance(kind, sa.Numeric):
        digits, scale = kind.precision, kind.scale or 0
        known = digits is not None and digits <= MAX_DIGITS and 0 <= scale <= digits
        return pa.decimal128(digits, scale) if known else None
    if isinstance(kind, sa.DateTime):
        return pa.timestamp(_unit(kind, dialect), "UTC" if getattr(kind, "timezone", False) else None)
    if isinstance(kind, sa.Date):
        return pa.date32()
    if isinstance(kind, sa.Time):
        return pa.time64("us")
    if isinstance(kind, sa.LargeBinary | sa.types._Binary):
        return pa.binary()
    return None


def _integer(kind: sa.Integer, dialect: str) -> pa.DataType:
    if getattr(kind, "unsigned", False):
        return pa.uint64() if isinstance(kind, sa.BigInteger) else pa.uint32()
    if dialect in ("oracle", "sqlite") or isinstance(kind, sa.BigInteger):
        return pa.int64()
    return pa.int16() if isinstance(kind, sa.SmallInteger) else pa.int32()


def _unit(kind: sa.DateTime, dialect: str) -> str:
    """The least that a column tells apart: what it cuts off is a value that doesn't fit, and no other value."""
    if dialect in ("mariadb", "mysql"):
        return {None: "s", 0: "s", 3: "ms"}.get(getattr(kind, "fsp", None), "us")
    return "s" if dialect == "oracle" and kind.__visit_name__ == "DATE" else "us"


def column_type(name: str, kind: pa.DataType, dialect: str, *, keyed: bool = False) -> TypeEngine[Any]:
    """The type of a column that takes all values of an Arrow type; texts of a key only short ones. UsageError if none.

    >>> column_type("at", pa.timestamp("us", "UTC"), "oracle")
    DateTime(timezone=True)
    """
    kinds = pa.types
    if kinds.is_dictionary(kind):
        return column_type(name, kind.value_type, dialect, keyed=keyed)
    if kinds.is_decimal(kind) and kind.precision <= MAX_DIGITS and kind.scale >= 0:
        return sa.Numeric(kind.precision, kind.scale)
    if kinds.is_timestamp(kind):
        if dialect in ("mariadb", "mysql"):
            return mysql.DATETIME(fsp=6)
        return sa.DateTime(timezone=kind.tz is not None)
    if kinds.is_string(kind) or kinds.is_large_string(kind) or (kinds.is_nested(kind) and not keyed):
        return sa.String(KEY_LENGTH) if keyed else sa.Text()
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        return sa.LargeBinary()
    if kinds.is_time(kind):
        return sa.Time()
    made = _TYPES.get(str(kind))
    if made is None:
        raise UsageError(f"column '{name}' is {kind}, for which there is no type in all databases: select another")
    return made()


_TYPES: dict[str, Any] = {
    "bool": sa.Boolean,
    "int8": sa.SmallInteger,
    "uint8": sa.SmallInteger,
    "int16": sa.SmallInteger,
    "uint16": sa.Integer,
    "int32": sa.Integer,
    "uint32": sa.BigInteger,
    "int64": sa.BigInteger,
    "uint64": lambda: sa.Numeric(20, 0),
    "halffloat": sa.Double,
    "float": sa.Double,
    "double": sa.Double,
    "date32[day]": sa.Date,
}


def values_of(told: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    """A column as a driver gives it, as Arrow has it. Arrow's errors for values that are none of the type."""
    if kind is None:
        return pa.array([_text(each) for each in told], pa.string())
    if pa.types.is_decimal(kind):  # SQLite's are floats
        return pa.array([_text(each) for each in told], pa.string()).cast(kind)
    return pa.array(told, kind)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def text_of(value: Any) -> str:
    """A value as a part of a table tells it, which `value_of` reads."""
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def value_of(text: str, kind: pa.DataType | None) -> Any:
    """What is compared with a column, from a text: times in UTC. ValueError if it is no value of the type.

    >>> value_of("2024-05-01T12:00:00+02:00", pa.timestamp("us")).isoformat()
    '2024-05-01T10:00:00'
    """
    if kind is None:
        return text
    kinds = pa.types
    if kinds.is_integer(kind):
        return int(text)
    if kinds.is_decimal(kind) or kinds.is_floating(kind):
        try:
            number = Decimal(text)
        except ArithmeticError:
            raise ValueError(f"'{text}' is no number") from None
        return number if kinds.is_decimal(kind) else float(number)
    if kinds.is_date(kind):
        return date.fromisoformat(text)
    if kinds.is_timestamp(kind):
        at = datetime.fromisoformat(text)
        at = at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc)
        return at if kind.tz is not None else at.replace(tzinfo=None)
    if kinds.is_time(kind):
        return time.fromisoformat(text)
    raise ValueError(f"a {kind} can't be compared")
