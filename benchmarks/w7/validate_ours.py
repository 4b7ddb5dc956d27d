"""Rows judged by `ValidateRows` where they are."""

from __future__ import annotations

from beam_pipelines import ValidateRows
from benchmarks.w7.contract import contract
from benchmarks.w7.rows import run

if __name__ == "__main__":
    run(lambda rows: (rows | ValidateRows(contract())).good)
