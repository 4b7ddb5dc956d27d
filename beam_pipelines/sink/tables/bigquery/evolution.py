"""What has to change of a table's columns so that rows fit: columns more, wider types, nulls. Pure.

BigQuery widens INT64 to NUMERIC, BIGNUMERIC and FLOAT64, and NUMERIC to BIGNUMERIC and FLOAT64; columns that are added
may be null, and those that may not can be relaxed (https://cloud.google.com/bigquery/docs/managing-table-schemas).

>>> found = changes(pa.schema({"n": pa.decimal128(12, 2)}), [{"name": "n", "type": "INTEGER", "mode": "REQUIRED"}])
>>> found.fields[0]["mode"], found.widened
('NULLABLE', {'n': 'NUMERIC'})
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from beam_pipelines.bigquery.types import fields_of, kind_of

_WIDER = {
    "INT64": ("NUMERIC", "BIGNUMERIC", "FLOAT64"),
    "NUMERIC": ("BIGNUMERIC", "FLOAT64"),
}


@dataclasses.dataclass(frozen=True)
class Change:
    """The columns as they will be; `widened`: columns that get another type; `patched`: whether others change."""

    fields: list[dict[str, Any]]
    widened: Mapping[str, str]
    patched: bool


def changes(rows: pa.Schema, fields: Sequence[Mapping[str, Any]], keys: Sequence[str] = ()) -> Change:
    """Compare rows with a table's columns; `keys` stay REQUIRED. ValueError for columns that can't be made."""
    wanted = {field["name"]: field for field in fields_of(rows, keys)}
    there = {field["name"]: dict(field) for field in fields}
    widened: dict[str, str] = {}
    patched = False
    for name, want in wanted.items():
        if name not in there:
            there[name] = _nullable(want)
            patched = True
            continue
        have = there[name]
        if have.get("mode") == "REQUIRED" and want["mode"] == "NULLABLE":
            have["mode"] = "NULLABLE"
            patched = True
        elif (have.get("mode") == "REPEATED") != (want["mode"] == "REPEATED"):
            continue  # a conflict, which is told as one
        if kind_of(have) == kind_of(want) == "RECORD":
            more = [each for each in want["fields"] if each["name"] not in [old["name"] for old in have["fields"]]]
            have["fields"] = [*have["fields"], *map(_nullable, more)]
            patched = patched or bool(more)
        elif kind_of(want) in _WIDER.get(kind_of(have), ()):
            widened[name] = have["type"] = kind_of(want)
            have.pop("precision", None)
            have.pop("scale", None)
    return Change(list(there.values()), widened, patched)


def _nullable(field: Mapping[str, Any]) -> dict[str, Any]:
    return {**field, "mode": "REPEATED" if field["mode"] == "REPEATED" else "NULLABLE"}
