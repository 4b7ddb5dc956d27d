"""Quality of a data set's columns: nulls and ranges from its files' footers, distinct values from its first rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.report.facts import Run

DISTINCT_ROWS = 1_000_000
"""Rows whose distinct values are counted: with more, the count is of the first ones and is shown as at least that."""

_SHOWN_CHARS = 40  # of a least or greatest value


@dataclasses.dataclass(frozen=True)
class Column:
    """What is known of one column. Least and greatest are None for a sensitive column, and where files don't tell."""

    name: str
    type: str
    rows: int
    nulls: int | None
    least: str | None
    greatest: str | None
    distinct: int | None
    distinct_is_whole: bool
    sensitive: bool


def columns_of(run: Run, folder: str, sensitive: Collection[str] = ()) -> list[Column]:
    """Describe the columns of a folder's Parquet files, in the files' order; empty when it holds none."""
    schema: pa.Schema | None = None
    rows = 0
    nulls: dict[str, int | None] = {}
    ranges: dict[str, tuple[Any, Any]] = {}
    for file in run.parquet(folder):
        schema = schema or file.schema_arrow
        rows += file.metadata.num_rows
        for group in range(file.metadata.num_row_groups):
            _look(file.metadata.row_group(group), nulls, ranges)
    if schema is None:
        return []
    first = {field.name: _distinct(run, folder, field) for field in schema}
    return [
        Column(
            name=field.name,
            type=str(field.type),
            rows=rows,
            nulls=nulls.get(field.name),
            least=_least_or_greatest(ranges, field.name, 0, sensitive),
            greatest=_least_or_greatest(ranges, field.name, 1, sensitive),
            distinct=first[field.name],
            distinct_is_whole=rows <= DISTINCT_ROWS,
            sensitive=field.name in sensitive,
        )
        for field in schema
    ]


def _look(group: Any, nulls: dict[str, int | None], ranges: dict[str, tuple[Any, Any]]) -> None:
    """Add one row group's statistics; those of a nested column's leaves aren't the column's."""
    for place in range(group.num_columns):
        chunk = group.column(place)
        name, statistics = chunk.path_in_schema, chunk.statistics
        if statistics is None or not statistics.has_null_count:
            nulls[name] = None
            continue
        before = nulls.get(name, 0)
        nulls[name] = None if before is None else before + statistics.null_count
        if statistics.has_min_max:
            least, greatest = ranges.get(name, (statistics.min, statistics.max))
            ranges[name] = (min(least, statistics.min), max(greatest, statistics.max))


def _least_or_greatest(
    ranges: dict[str, tuple[Any, Any]], name: str, which: int, sensitive: Collection[str]
) -> str | None:
    if name in sensitive or name not in ranges:
        return None
    value = ranges[name][which]
    text = str(value) if not isinstance(value, float) else f"{value + 0.0:.6g}"  # Parquet writes a least 0 as -0
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _distinct(run: Run, folder: str, field: pa.Field) -> int | None:
    if pa.types.is_nested(field.type):
        return None
    values = run.table(folder, [field.name], DISTINCT_ROWS).column(0)
    return int(pc.count_distinct(values, mode="only_valid").as_py())
