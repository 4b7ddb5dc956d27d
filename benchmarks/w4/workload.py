"""W4's sides."""

from __future__ import annotations

from benchmarks.w4 import data
from benchmarks.workload import Side, Table, Workload

W4 = Workload(
    name="W4",
    title="scoring",
    says="Parquet of ten numbers a row → a probability by a logistic regression of scikit-learn → Parquet. "
    "Sizes differ, so that what a row costs can be told apart from what a start costs.",
    sides=(
        Side(
            "beam_pipelines",
            "benchmarks.event_analytics",
            "`event_analytics --model`",
            arguments=(
                "--input={source}/points.parquet",
                "--contract=benchmarks/w4/points.odcs.yaml",
                "--model={source}/card.json",
            ),
        ),
        Side("numpy", "benchmarks.w4.numpy_whole", "no engine, all rows in one call"),
        Side(
            "beam_run_inference",
            "benchmarks.w4.beam_run_inference",
            "RunInference, batches of 1,000",
            "beam",
            True,
            200_000,
        ),
        Side("beam_row_by_row", "benchmarks.w4.beam_row_by_row", "a DoFn that scores its row", "beam", True, 50_000),
    ),
    source=data.folder,
    tables=(Table("rows", "id, x0, round(p, 9)"),),
    reference="numpy",
    sizes=(1_000, 50_000, 2_000_000),
    quick=10_000,
)
