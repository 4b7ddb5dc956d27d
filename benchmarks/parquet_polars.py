"""Polars' side of workloads that are a lazy plan for each folder; a module has them: `SOURCE OUTPUT MODULE`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import polars as pl

if __name__ == "__main__":
    source, output, module = sys.argv[1:]
    plans: dict[str, pl.LazyFrame] = importlib.import_module(module).plans(source)
    sinks = []
    for folder, plan in plans.items():
        Path(output, folder).mkdir(parents=True)
        sinks.append(plan.sink_parquet(f"{output}/{folder}/part.parquet", compression="zstd", lazy=True))
    pl.collect_all(sinks, engine="streaming")
