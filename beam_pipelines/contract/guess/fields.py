"""What one column of data is: a field that takes the values seen."""

from __future__ import annotations

import collections
import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from beam_pipelines.contract import values
from beam_pipelines.contract.field import RESERVED_PREFIX, Field

ASSUMED_ZONE = "Etc/UTC"
"""The zone of times that carry none; the reader is told."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")  # 007 is a code, no number
_NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_COMMA_NUMBER = re.compile(r"-?([0-9]{1,3}(\.[0-9]{3})+|[0-9]+)(,[0-9]+)?")  # 1.234,50
_CODE_NAME = re.compile(r"(.*[_\- ])?(id|key|code|no|nr|number|num|sku)|.+(Id|ID|Key|Code|No|Nr)")
_LEADING_ZERO = re.compile(r"-?0[0-9]+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?(?P<zone>Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_FORMATS = {
    "dd/MM/yyyy": "%d/%m/%Y",
    "MM/dd/yyyy": "%m/%d/%Y",
    "dd.MM.yyyy": "%d.%m.%Y",
    "yyyy/MM/dd": "%Y/%m/%d",
    "yyyyMMdd": "%Y%m%d",
    "dd/MM/yyyy HH:mm:ss": "%d/%m/%Y %H:%M:%S",
    "MM/dd/yyyy HH:mm:ss": "%m/%d/%Y %H:%M:%S",
    "dd.MM.yyyy HH:mm:ss": "%d.%m.%Y %H:%M:%S",
    "dd/MM/yyyy HH:mm": "%d/%m/%Y %H:%M",
    "MM/dd/yyyy HH:mm": "%m/%d/%Y %H:%M",
    "dd.MM.yyyy HH:mm": "%d.%m.%Y %H:%M",
    "yyyy/MM/dd HH:mm:ss": "%Y/%m/%d %H:%M:%S",
}
"""Patterns that are tried besides ISO 8601, and what Python calls them."""
_MANY, _MOST = 100, 0.99
"""Of so many texts, those beside this share are mistakes. Codes are exempt: 85123A among numbers is none."""
_MAP_KEYS = 30
"""Objects with more keys than this, of values of one type, are taken for maps."""


class Column(NamedTuple):
    """Values of one column: as JSON has them, or texts (`is_text`) of which nothing is known. None is null."""

    name: str
    values: Sequence[Any]
    is_text: bool = False


class Guessed(NamedTuple):
    """A field, and what its reader should know of how it was come by."""

    field: Field
    notes: list[str]


def guess_field(column: Column) -> Guessed:
    """Say what a column is. Most values count: those of another type will be dead letters, and a note says so.

    >>> guess_field(Column("at", ["2024-05-01 10:00"])).notes
    ['at: times carry no zone; UTC is assumed (defaultTimezone)']
    >>> str(guess_field(Column("zip", ["01234", "99999"], is_text=True)).field.type)
    'string'
    """
    there = [value for value in column.values if value is not None]
    if not there:
        return Guessed(Field(column.name, pa.string()), [f"{column.name}: always null; a string is assumed"])
    if column.is_text:
        return _of_texts(column.name, there)
    kinds = collections.Counter(_kind(value) for value in there)
    [(kind, count)] = kinds.most_common(1)
    if kinds.keys() == {"integer", "number"}:
        kind, count = "number", len(there)
    fitting = [value for value in there if _kind(value) == kind or (kind == "number" and _kind(value) == "integer")]
    field, notes = _of_kind(column.name, kind, fitting)
    if count < len(there):
        others = ", ".join(sorted(kinds.keys() - {kind}))
        notes.append(f"{column.name}: {len(there) - count} of {len(there)} values are not {kind} but {others}")
    return Guessed(field, notes)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, str) else "object" if isinstance(value, dict) else "array"


def _of_kind(name: str, kind: str, fitting: list[Any]) -> Guessed:
    match kind:
        case "boolean":
            return Guessed(Field(name, pa.bool_()), [])
        case "integer":
            wide = any(not -(2**63) <= value < 2**63 for value in fitting)
            return Guessed(Field(name, pa.decimal128(38, 0) if wide else pa.int64()), [])
        case "number":
            return Guessed(Field(name, pa.float64()), [])
        case "array":
            inner = guess_field(Column("item", [item for value in fitting for item in value]))
            return Guessed(Field.array(name, inner.field), _inside(f"{name}[]", "item", inner.notes))
        case "object":
            return _of_objects(name, fitting)
        case _:
            return (
                _of_times(name, fitting) or _of_most(name, fitting, _of_times) or Guessed(Field(name, pa.string()), [])
            )


def _inside(path: str, name: str, notes: list[str]) -> list[str]:
    return [path + note.removeprefix(name) for note in notes]


def _of_objects(name: str, objects: list[dict[str, Any]]) -> Guessed:
    keys = list(dict.fromkeys(key for each in objects for key in each))
    kinds = {_kind(value) for each in objects for value in each.values() if value is not None}
    if not keys or (len(keys) > _MAP_KEYS and len(kinds) <= 1):
        inner = guess_field(Column("value", [value for each in objects for value in each.values()]))
        made = Field.map(name, Field("key", pa.string()), inner.field)
        return Guessed(made, [f"{name}: any keys, so a map is assumed", *_inside(f"{name}[]", "value", inner.notes)])
    guesses = [guess_field(Column(key, [each.get(key) for each in objects])) for key in keys]
    notes = [f"{name}.{note}" for guess in guesses for note in guess.notes]
    taken: set[str] = set()
    return Guessed(Field.object(name, [usable(guess.field, taken, inside=True) for guess in guesses]), notes)


def usable(field: Field, taken: set[str], inside: bool = False) -> Field:
    """The field under a name that it can have; what paths are made of can't be in one of nested fields."""
    name = re.sub('[\\0.\\[\\]"]' if inside or field.children else "\\0", "_", field.name)
    if name.startswith(RESERVED_PREFIX) or not name.strip():
        name = name.strip().lstrip("_") or "field"
    while name in taken:
        name += "_"
    taken.add(name)
    return field if name == field.name else _with(field, name=name, physical_name=field.name)


def _with(field: Field, **attributes: Any) -> Field:
    return Field(**{**{name: getattr(field, name) for name in field.__dataclass_fields__}, **attributes})


def _of_texts(name: str, texts: list[str]) -> Guessed:
    found = _typed(name, texts) or _of_most(name, texts, _of_times if _CODE_NAME.fullmatch(name) else _typed)
    if found is not None:
        return found
    told = []
    if sum(_COMMA_NUMBER.fullmatch(text) is not None for text in texts) >= _MOST * len(texts) and "," in "".join(texts):
        column = name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else '\\"' + name.replace('"', '""') + '\\"'
        number = f"CAST(replace(replace({column}, '.', ''), ',', '.') AS DOUBLE)"
        told = [
            f'{name}: numbers with a decimal comma are kept as text; to count with them: --derive "NAME = {number}"'
        ]
    return Guessed(Field(name, pa.string()), told)


def _typed(name: str, texts: list[str]) -> Guessed | None:
    """What all texts are, if it is more than text."""
    if all(text.lower() in ("true", "false") for text in texts):
        return Guessed(Field(name, pa.bool_()), [])
    if all(_INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63 for text in texts):
        return Guessed(Field(name, pa.int64()), [])
    if all(_NUMBER.fullmatch(text) for text in texts) and not any(_LEADING_ZERO.fullmatch(text) for text in texts):
        finite = all(abs(float(text)) < float("inf") for text in texts)
        return Guessed(Field(name, pa.float64() if finite else pa.string()), [])
    return _of_times(name, texts)


def _of_most(name: str, texts: list[str], read: Callable[[str, list[str]], Guessed | None]) -> Guessed | None:
    """What nearly all texts are, when the others are so few that they look like mistakes."""
    if len(texts) < _MANY:
        return None
    [(length, _)] = collections.Counter(len(text) for text in texts).most_common(1)
    looks: list[Callable[[str], bool]] = [
        lambda text: _NUMBER.fullmatch(text) is not None,
        lambda text: _TIME.fullmatch(text) is not None and _parsed(text[:10], "%Y-%m-%d"),
        *(partial(_parsed, pattern=python) for java, python in _FORMATS.items() if len(java) == length),
    ]
    for look in looks:
        if sum(look(text) for text in texts[:_MANY]) < _MANY / 2:
            continue
        fitting = [text for text in texts if look(text)]
        found = read(name, fitting) if len(fitting) >= _MOST * len(texts) else None
        if found is not None and not pa.types.is_string(found.field.type):
            wrong = f"{len(texts) - len(fitting)} of {len(texts)} values are not {_said(found.field.type)}"
            return Guessed(found.field, [*found.notes, f"{name}: {wrong}: their rows will be dead letters"])
    return None


def _said(kind: pa.DataType) -> str:
    if pa.types.is_date(kind):
        return "dates"
    return "timestamps" if pa.types.is_timestamp(kind) else "numbers"


def _of_times(name: str, texts: list[str]) -> Guessed | None:
    """A date or a timestamp, if all texts are of one."""
    if all(_DATE.fullmatch(text) and _parsed(text, "%Y-%m-%d") for text in texts):
        return Guessed(Field(name, pa.date32()), [])
    matches = [_TIME.fullmatch(text) for text in texts]
    if all(match is not None and _parsed(match[0][:10], "%Y-%m-%d") for match in matches):
        zoned = [match is not None and match["zone"] is not None for match in matches]
        if all(zoned):
            return Guessed(Field(name, values.TIMESTAMP), [])
        some = "some " if any(zoned) else ""
        told = f"{name}: {some}times carry no zone; UTC is assumed (defaultTimezone)"
        return Guessed(Field(name, values.TIMESTAMP, default_timezone=ASSUMED_ZONE), [told])
    fitting = list(_fitting_formats(texts))
    if not fitting:
        return None
    pattern = fitting[0]
    notes = [f"{name}: {pattern} is assumed, {fitting[1]} fits too"] if len(fitting) > 1 else []
    if "H" not in pattern:
        return Guessed(Field(name, pa.date32(), date_format=pattern), notes)
    notes.append(f"{name}: times carry no zone; UTC is assumed (defaultTimezone)")
    return Guessed(Field(name, values.TIMESTAMP, date_format=pattern, default_timezone=ASSUMED_ZONE), notes)


def _fitting_formats(texts: list[str]) -> Iterator[str]:
    lengths = {len(text) for text in texts}
    for java, python in _FORMATS.items():
        if lengths == {len(java)} and all(_parsed(text, python) for text in texts):
            yield java


def _parsed(text: str, pattern: str) -> bool:
    try:
        return dt.datetime.strptime(text, pattern).year >= 1
    except ValueError:
        return False
