"""Rows to batches and back."""

from __future__ import annotations

from beam_pipelines import BatchesToRows, RowsToBatches
from benchmarks.w7.contract import contract
from benchmarks.w7.rows import run

if __name__ == "__main__":
    run(lambda rows: rows | RowsToBatches(contract()) | BatchesToRows(contract()))
