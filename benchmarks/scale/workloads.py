"""W1 with other shares of bad rows and two workers, and rows of many groups or columns."""

from __future__ import annotations

import dataclasses
from functools import partial

from benchmarks.events import data as events
from benchmarks.scale import data
from benchmarks.w1.workload import OURS, W1
from benchmarks.workload import Side, Table, Workload

_FAST = tuple(side for side in W1.sides if not side.slow)
BAD_ROWS = tuple(
    dataclasses.replace(
        W1,
        name=f"W1, {share:.0%} bad",
        title=f"event analytics when {share:.0%} of the lines are bad",
        says="As W1 otherwise.",
        sides=_FAST,
        source=partial(events.file, bad_share=share),
        sizes=(2_000_000,),
        quick=None,
    )
    for share in (0.0, 0.1, 1.0)
)
TWO_WORKERS = dataclasses.replace(
    W1,
    name="W1, 2 workers",
    title="event analytics in two worker processes",
    says="As W1, by `--direct_running_mode=multi_processing --direct_num_workers=2`. The others use both cores anyway.",
    sides=(
        dataclasses.replace(
            OURS, arguments=(*OURS.arguments, "--direct_running_mode=multi_processing", "--direct_num_workers=2")
        ),
        *(side for side in _FAST if side.implementation == W1.reference),
    ),
    sizes=(2_000_000,),
    quick=None,
)
GROUPS = tuple(
    Workload(
        name=f"groups, {groups:,}",
        title=f"rows summed in {groups:,} groups",
        says="Parquet of a key and an amount → the same rows, and count and sum of each key.",
        sides=(
            Side(
                "beam_pipelines",
                "benchmarks.event_analytics",
                "`event_analytics`",
                arguments=(
                    "--contract=benchmarks/scale/groups.odcs.yaml",
                    "--group_by=k",
                    "--aggregate=count(*) as events, sum(cents) as total",
                ),
            ),
            Side("duckdb", "benchmarks.scale.groups_duckdb", "two queries", "duckdb"),
            Side("polars", "benchmarks.scale.groups_polars", "lazy, streaming", "polars"),
        ),
        source=partial(data.grouped, groups=groups),
        tables=(Table("rows", "k, cents"), Table("aggregates", "k, events, total")),
        reference="duckdb",
        sizes=(max(2_000_000, groups),),
        quick=200_000 if groups == 1_000 else None,
    )
    for groups in (10, 1_000, 100_000, 1_000_000, 10_000_000)
)
COLUMNS = tuple(
    Workload(
        name=f"columns, {columns}",
        title=f"rows of {columns} columns",
        says="JSON Lines, integers and texts in turn → Parquet.",
        sides=(
            Side(
                "beam_pipelines",
                "benchmarks.event_analytics",
                "`event_analytics`, types and nulls checked",
                arguments=("--input={source}/rows.jsonl", "--contract={source}/wide.odcs.yaml"),
            ),
            Side("duckdb", "benchmarks.scale.columns_duckdb", "its JSON reader, types guessed", "duckdb"),
            Side("polars", "benchmarks.scale.columns_polars", "its JSON reader, types guessed", "polars"),
        ),
        source=partial(data.wide, columns=columns),
        tables=(Table("rows", ", ".join(f"c{number}" for number in range(min(columns, 200)))),),
        reference="duckdb",
        sizes=(5_000_000 // columns,),
        quick=None,
    )
    for columns in (5, 50, 500)
)
ALL = (*BAD_ROWS, TWO_WORKERS, *GROUPS, *COLUMNS)
