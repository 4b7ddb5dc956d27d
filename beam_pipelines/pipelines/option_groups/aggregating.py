"""What is aggregated over which windows."""

from __future__ import annotations

import dataclasses

from beam_pipelines.options import option


@dataclasses.dataclass(frozen=True)
class AggregatingOptions:
    """Windows, groups and aggregates."""

    window: str = option(
        "Event-time window of the aggregates: fixed:1h, sliding:1h/5m (size/period), session:30m (gap, by group), "
        "calendar:day@Europe/Berlin (or week, month, quarter, year) or none.",
        default="none",
        group="aggregate",
        metavar="WINDOW",
        example="fixed:1h",
    )
    group_by: tuple[str, ...] = option(
        "Columns to group by, separated by commas.",
        default=(),
        group="aggregate",
        metavar="COLUMNS",
        example="country",
    )
    aggregate: str | None = option(
        "SQL aggregates over the contract's columns: 'count(*) as events, sum(price * quantity) as revenue'. "
        "Default: the contract's measures; without any, only rows are written.",
        default=None,
        group="aggregate",
        metavar="SQL",
        example="count(*) as events, count(distinct user) as users",
    )
    aggregate_shards: int | None = option(
        "Parts in which the groups of a window are merged; more suit millions of groups in one window. "
        "Default: 1 with windows, 4 without.",
        default=None,
        group="aggregate",
    )
    hot_key_fanout: int | None = option(
        "Parts in which each shard's aggregates are merged first: for files in which few groups have most of the rows "
        "and much to keep, as exact quantiles and distinct counts have. Default: 1.",
        default=None,
        group="aggregate",
    )
