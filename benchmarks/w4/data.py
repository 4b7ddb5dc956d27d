"""Points of ten features, a model trained on some of them, and its card."""

from __future__ import annotations

import json
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression

from benchmarks.w4.features import FEATURES
from scripts import cache


def folder(rows: int) -> Path:
    """A folder with `points.parquet`, `model.joblib` and `card.json`, made unless it is there."""
    made = cache.folder("benchmarks") / f"points-{rows}"
    if not (made / "points.parquet").exists():
        made.mkdir(exist_ok=True)
        chance = np.random.default_rng(11)
        values = chance.normal(size=(rows, len(FEATURES)))
        truth = values @ np.arange(len(FEATURES)) + chance.normal(size=rows) > 0
        joblib.dump(LogisticRegression().fit(values[:10_000], truth[:10_000]), made / "model.joblib")
        output = {"name": "p", "type": "double", "source": "predict_proba[1]"}
        card = {"id": "points", "version": "1", "format": "sklearn", "file": "model.joblib", "outputs": [output]}
        (made / "card.json").write_text(json.dumps({**card, "features": FEATURES}))
        columns = {"id": np.arange(rows), **{name: values[:, number] for number, name in enumerate(FEATURES)}}
        pq.write_table(pa.table(columns), made / "points.parquet", row_group_size=100_000)
    return made
