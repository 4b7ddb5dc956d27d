"""How a table that is made is cut: by one column of time or number, and clustered by up to four. Pure.

>>> rows = pa.schema({"placed_at": pa.timestamp("us"), "country": pa.string()})
>>> cut = Cut.of(["day(placed_at)", "country"], (), rows)
>>> cut.partition, cut.cluster
({'timePartitioning': {'type': 'DAY', 'field': 'placed_at'}}, ('country',))
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean

_TIME = re.compile(r"(?:(hour|day|month|year)\(([^()]+)\)|([^()]+))")
_RANGE = re.compile(r"range\(([^(),]+),\s*(-?\d+),\s*(-?\d+),\s*(\d+)\)")
MAX_CLUSTERED = 4


class Cut(NamedTuple):
    """Partitions as BigQuery's JSON of a table has them, and the columns that rows are clustered by."""

    partition: dict[str, Any]
    cluster: tuple[str, ...]

    @classmethod
    def of(cls, partition_by: Sequence[str], cluster_by: Sequence[str], rows: pa.Schema) -> Cut:
        """Read the two options. UsageError for what BigQuery can't do.

        A column that is no time can't cut partitions: rows are clustered by it, which prunes as well.
        """
        partition: dict[str, Any] = {}
        clustered: list[str] = []
        for text in partition_by:
            found = _partition(text.strip(), rows)
            if isinstance(found, str):
                clustered.append(found)
            elif partition:
                raise UsageError(f"?partition_by: '{text}': BigQuery partitions by one column: leave it out")
            else:
                partition = found
        for name in cluster_by:
            _check(name, rows, "cluster_by")
        cluster = tuple(dict.fromkeys([*clustered, *cluster_by]))
        if len(cluster) > MAX_CLUSTERED:
            raise UsageError(
                f"?cluster_by: BigQuery clusters by {MAX_CLUSTERED} columns at most, and these are {len(cluster)}: "
                f"{', '.join(cluster)}"
            )
        return cls(partition, cluster)


def _partition(text: str, rows: pa.Schema) -> dict[str, Any] | str:
    numbers = _RANGE.fullmatch(text)
    if numbers:
        name, start, end, step = numbers.groups()
        _check(name, rows, "partition_by")
        if not pa.types.is_integer(rows.field(name).type):
            raise UsageError(f"?partition_by: '{text}': '{name}' is {rows.field(name).type}, and no whole number")
        return {"rangePartitioning": {"field": name, "range": {"start": start, "end": end, "interval": step}}}
    found = _TIME.fullmatch(text)
    if found is None:
        raise UsageError(
            f"?partition_by: '{text}' is no partition of BigQuery: write a column of time, day(placed_at) (or hour, "
            "month, year), or range(id, FROM, TO, STEP)"
        )
    unit, name = found[1], found[2] or found[3]
    _check(name, rows, "partition_by")
    kind = rows.field(name).type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if unit == "hour" and pa.types.is_date(kind):
            raise UsageError(f"?partition_by: '{text}': a date has no hours")
        return {"timePartitioning": {"type": (unit or "day").upper(), "field": name}}
    if unit:
        raise UsageError(f"?partition_by: '{text}': '{name}' is {kind}, and no time")
    return name


def _check(name: str, rows: pa.Schema, option: str) -> None:
    if name not in rows.names:
        raise UsageError(f"?{option}: '{name}' is no column.{did_you_mean(name, rows.names)}")
