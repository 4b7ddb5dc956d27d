"""What Delta's log says of a Parquet file, so that readers skip it: rows, and bounds of its columns. Pure."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from typing import Any

import pyarrow.parquet as pq

_LONGEST = 200
"""Characters of a text that is told as a bound: of a longer one none is, since a cut one would be wrong."""


def statistics(footer: pq.FileMetaData) -> str:
    """The statistics as the log has them, in JSON.

    Of columns within others only nulls are counted; decimals and binaries have no bounds that JSON could hold.
    """
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for place in range(footer.num_columns):
        chunks = [footer.row_group(group).column(place) for group in range(footer.num_row_groups)]
        if not chunks or "." in chunks[0].path_in_schema:
            continue
        name, found = chunks[0].path_in_schema, [chunk.statistics for chunk in chunks]
        if not all(each is not None and each.has_null_count for each in found):
            continue
        nulls[name] = sum(each.null_count for each in found)
        bounded = [each for each in found if each.null_count < each.num_values + each.null_count]
        if bounded and all(each.has_min_max for each in bounded):
            low, high = min(each.min for each in bounded), max(each.max for each in bounded)
            if _tellable(low) and _tellable(high):
                least[name], most[name] = _told(low), _told(high)
    told = {"numRecords": footer.num_rows, "minValues": least, "maxValues": most, "nullCount": nulls}
    return json.dumps(told)


def _tellable(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return len(value) <= _LONGEST
    return isinstance(value, (int, date)) and not isinstance(value, bool)


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f") + ("Z" if value.tzinfo else "")
    return value.isoformat() if isinstance(value, date) else value
