"""What a stream left behind, as the batch of the same rows would have it: its late rows re-aggregated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate.kernels import aggregate
from beam_pipelines.parity.diff import comparable, compare
from beam_pipelines.window.assign import window_starts
from beam_pipelines.window.spec import parse_window

PANE_COLUMNS = ("pane_index", "pane_timing")
_START = "window_start"
_TIME = pa.timestamp("us", "UTC")


def is_stream(manifest: dict[str, Any]) -> bool:
    """Whether a run was a stream: only those publish late rows, if only a file without any."""
    return any(file["folder"] == "late" for file in manifest["files"])


def final_aggregates(panes: pa.Table, rows: pa.Table, late: pa.Table, manifest: dict[str, Any]) -> pa.Table:
    """Aggregates of all rows of a stream, as far as possible by what its panes say.

    A window that has one pane and no late rows is as its pane says. One with late rows is aggregated anew from the
    stream's rows, if the rows without the late ones give what its pane says; if they don't, it is left as it is, and
    so differs from the batch. A window with several panes, and all of sessions and sliding windows if any row was
    late, is aggregated anew.
    """
    if not panes.num_rows and not late.num_rows:
        return panes.drop_columns(list(PANE_COLUMNS))
    window = parse_window(manifest["options"]["window"])
    several = panes.filter(pc.greater(panes.column("pane_index"), 0)).column(_START)
    single = panes.drop_columns(list(PANE_COLUMNS))
    if window.kind not in ("fixed", "calendar"):
        return aggregated_anew(rows, manifest, panes.schema) if late.num_rows or len(several) else single
    times = _times(late, manifest)
    touched = pc.unique(pa.chunked_array([window_starts(times, window), several.combine_chunks()], _TIME))
    if not len(touched):
        return single
    in_touched = _among(window_starts(_times(rows, manifest), window), touched)
    here = rows.filter(in_touched)
    told = single.filter(_among(single.column(_START), touched))
    anew = aggregated_anew(here, manifest, panes.schema)
    if (
        not len(several)
        and not compare(aggregated_anew(_without(here, late), manifest, panes.schema), told, show=0).is_equal
    ):
        anew = told
    return pa.concat_tables([single.filter(pc.invert(_among(single.column(_START), touched))), anew])


def final_counts(counts: dict[str, int]) -> dict[str, int]:
    """The counts of a balance that a stream and a batch share: what became of rows, whether or not in time."""
    names = ("read", "added", "written", "dead_lettered", "duplicate", "filtered", "merged", "balanced")
    kept = {name: counts[name] for name in names if name in counts}
    kept |= {name: n for name, n in counts.items() if name.startswith("dead_letters_by_rule.")}
    places = {name: f"outputs.aggregates.{name}" for name in ("aggregated", "in_panes", "late")}
    kept["aggregated"] = counts.get(places["aggregated"], 0)
    kept["in_panes_or_late"] = counts.get(places["in_panes"], 0) + counts.get(places["late"], 0)
    return kept


def aggregated_anew(rows: pa.Table, manifest: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """Aggregates of a stream's rows as a batch has them, in the types of its panes (the schema)."""
    options = manifest["options"]
    found = aggregate(
        rows,
        options["aggregate"],
        group_by=options["group_by"],
        window=options["window"],
        event_time=manifest["contract"]["event_time"],
    )
    wanted = [field for field in schema if field.name not in PANE_COLUMNS]
    return pa.Table.from_batches([found]).select([field.name for field in wanted]).cast(pa.schema(wanted))


def _times(rows: pa.Table, manifest: dict[str, Any]) -> pa.Array:
    return rows.column(manifest["contract"]["event_time"]).combine_chunks().cast(_TIME)


def _among(starts: Any, touched: pa.Array) -> Any:
    return pc.is_in(starts, value_set=touched)


def _without(rows: pa.Table, late: pa.Table) -> pa.Table:
    """The rows less the late ones, which are among them; of rows alike it doesn't matter which goes."""
    names = rows.schema.names
    keys = [f"key{number}" for number in range(len(names))]
    tables = [
        pa.table(
            [*(comparable(table.column(name)) for name in names), pa.array(np.arange(table.num_rows) + first)],
            names=[*keys, "place"],
        )
        for table, first in ((rows, 0), (late.select(names), rows.num_rows))
    ]
    groups = pa.concat_tables(tables).group_by(keys, use_threads=False).aggregate([("place", "list"), ("place", "max")])
    with_late = groups.filter(pc.greater_equal(groups.column("place_max"), rows.num_rows))
    gone: list[int] = []
    for places in with_late.column("place_list").to_pylist():  # late rows are few
        mine = [place for place in places if place < rows.num_rows]
        gone += mine[: len(places) - len(mine)]
    kept = np.ones(rows.num_rows, bool)
    kept[gone] = False
    return rows.filter(pa.array(kept))
