"""W4 without any engine: the whole file in memory, scored in one call. What the model itself costs."""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import numpy as np
import pyarrow.parquet as pq

from benchmarks.w4.features import FEATURES

if __name__ == "__main__":
    source, output = sys.argv[1:]
    Path(output, "rows").mkdir(parents=True)
    table = pq.read_table(f"{source}/points.parquet")
    values = np.column_stack([table[name].to_numpy() for name in FEATURES])
    scores = joblib.load(f"{source}/model.joblib").predict_proba(values)[:, 1]
    pq.write_table(table.append_column("p", [scores]), f"{output}/rows/part.parquet", compression="zstd")
