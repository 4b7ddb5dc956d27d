"""Values of rows as a scenario writes them: those of Arrow, and those of YAML, in one form that can be compared."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from beam_pipelines.contract.odcs.yaml_tree import resolve
from beam_pipelines.scenarios.times import read_time, written

Row = dict[str, Any]


def rows_of(table: pa.Table, day: datetime.date | None, columns: Iterable[str] | None = None) -> list[Row]:
    """Rows of a table, some columns of them, as a scenario writes them; a column that isn't there is null.

    >>> rows_of(pa.table({"n": [1], "payload": [b"x"]}), None)
    [{'n': 1, 'payload': 'x'}]
    """
    names = table.schema.names if columns is None else list(columns)
    there = [name for name in names if name in table.schema.names]
    rows = table.select(there).to_pylist() if there else [{}] * table.num_rows
    return [{name: _told(row.get(name), day) for name in names} for row in rows]


def expected_rows(
    expected: Iterable[Mapping[str, Any]], columns: Iterable[str], schema: pa.Schema, day: datetime.date | None
) -> list[Row]:
    """Rows as they are expected, in the form of those that came; a column that isn't named is null.

    >>> schema = pa.schema([("at", pa.timestamp("us", "UTC")), ("price", pa.decimal128(10, 2))])
    >>> expected_rows([{"at": "2024-05-01T14:00+02:00", "price": 1.5}], schema.names, schema, None)
    [{'at': '2024-05-01T12:00:00', 'price': '1.50'}]
    """
    types = {field.name: field.type for field in schema}
    names = list(columns)
    return [{name: _as(types.get(name), row.get(name), day) for name in names} for row in expected]


def _told(value: Any, day: datetime.date | None) -> Any:
    match value:
        case datetime.datetime():
            at = value.replace(tzinfo=datetime.timezone.utc) if value.tzinfo is None else value
            return written(at.astimezone(datetime.timezone.utc), day)
        case datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal():
            return str(value)
        case datetime.timedelta():
            return value.total_seconds()
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case list():
            return [_told(each, day) for each in value]
        case tuple():
            return [_told(each, day) for each in value]
        case dict():
            return {name: _told(each, day) for name, each in value.items()}
    return value


def _as(kind: pa.DataType | None, value: Any, day: datetime.date | None) -> Any:
    """A value of YAML in the form that a column of this type has; as it is where it can't be that."""
    if value is None or kind is None:
        return value
    try:
        if pa.types.is_timestamp(kind):
            return written(read_time(str(value), day), day)
        if pa.types.is_decimal(kind):
            return str(decimal.Decimal(str(value)).quantize(decimal.Decimal(1).scaleb(-kind.scale)))
    except (ValueError, decimal.InvalidOperation):
        return value
    if pa.types.is_floating(kind) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def shown(row: Mapping[str, Any]) -> str:
    """A row as YAML in one line.

    >>> shown({"at": "12:00:00", "user": "ann", "n": 1, "code": "012", "gone": None})
    '{at: "12:00:00", user: ann, n: 1, code: "012", gone: null}'
    """
    return f"{{{', '.join(f'{_scalar(name)}: {_written(value)}' for name, value in row.items())}}}"


def _written(value: Any) -> str:
    match value:
        case dict():
            return shown(value)
        case list():
            return f"[{', '.join(map(_written, value))}]"
        case str():
            return _scalar(value)
        case float() if value != value or value in (float("inf"), float("-inf")):
            return ".nan" if value != value else f"{'-' if value < 0 else ''}.inf"
    return json.dumps(value)


def _scalar(text: str) -> str:
    """A text without quotes where YAML takes it for that text, else with them."""
    plain = text.isascii() and text.replace("_", "").replace("-", "").replace(".", "").isalnum()
    is_itself = plain and (text[0].isalpha() or text[0] == "_") and resolve(text) == text
    return text if is_itself else json.dumps(text, ensure_ascii=False)
