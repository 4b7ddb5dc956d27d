"""W4 as a DoFn that scores the row it gets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import joblib
import pyarrow as pa

from benchmarks.w4.features import FEATURES

SCORED = pa.schema([("id", pa.int64()), *((name, pa.float64()) for name in FEATURES), ("p", pa.float64())])


class Score(beam.DoFn):
    """A row with its probability."""

    def __init__(self, path: str) -> None:
        self._path = path

    def setup(self) -> None:
        self._model = joblib.load(self._path)

    def process(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        scores = self._model.predict_proba([[row[name] for name in FEATURES]])
        yield {**row, "p": float(scores[0][1])}


def run(source: str, output: str) -> None:
    """Run it on FnApiRunner, as ours does."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.io.ReadFromParquet(f"{source}/points.parquet")
            | beam.ParDo(Score(f"{source}/model.joblib"))
            | beam.io.WriteToParquet(f"{output}/rows/part", SCORED, codec="zstd", file_name_suffix=".parquet")
        )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
