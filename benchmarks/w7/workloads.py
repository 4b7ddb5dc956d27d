"""W7's two parts."""

from __future__ import annotations

from benchmarks.w7 import rows
from benchmarks.workload import Side, Table, Workload


def _part(name: str, title: str, says: str, ours: str, beam: str) -> Workload:
    return Workload(
        name=name,
        title=title,
        says=f"{says} Both sides run in our environment; half of what they take is making the rows and adding them up.",
        sides=(
            Side("beam_pipelines", f"benchmarks.w7.{ours}", f"`{ours}.py`"),
            Side("beam_idiomatic", f"benchmarks.w7.{beam}", f"`{beam}.py`"),
        ),
        source=rows.source,
        tables=(Table("totals", "rows, cents"),),
        reference="beam_idiomatic",
        sizes=(500_000,),
        quick=100_000,
    )


ALL = (
    _part(
        "W7, edges",
        "rows to batches and back",
        "A pipeline of rows with `RowsToBatches | BatchesToRows` in it, and without.",
        "edges_ours",
        "edges_beam",
    ),
    _part(
        "W7, embedded",
        "one transform in a pipeline of rows",
        "Rows judged by `ValidateRows`, and by a DoFn written by hand.",
        "validate_ours",
        "validate_beam",
    ),
)
