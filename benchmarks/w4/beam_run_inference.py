"""W4 by Beam's RunInference, which batches the rows that it gets one by one."""

from __future__ import annotations

import sys
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.ml.inference.sklearn_inference import ModelFileType, SklearnModelHandlerNumpy

from benchmarks.w4.beam_row_by_row import SCORED
from benchmarks.w4.features import FEATURES


def probabilities(model: Any, batch: Any, inference_args: Any = None) -> Any:  # noqa: ARG001  as it is called
    """Of a batch of rows."""
    return model.predict_proba(np.stack(batch))[:, 1]


def keyed(row: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
    """A row's values, and its features."""
    values = tuple(row.values())
    return values, np.array([row[name] for name in FEATURES])


def scored(pair: Any) -> dict[str, Any]:
    """A row as it is written."""
    values, prediction = pair
    return dict(zip(SCORED.names, (*values, float(prediction.inference)), strict=True))


def run(source: str, output: str) -> None:
    """Run it on FnApiRunner, as ours does."""
    handler = SklearnModelHandlerNumpy(
        f"{source}/model.joblib", model_file_type=ModelFileType.JOBLIB, inference_fn=probabilities, max_batch_size=1000
    )
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.io.ReadFromParquet(f"{source}/points.parquet")
            | beam.Map(keyed)
            | RunInference(KeyedModelHandler(handler))
            | beam.Map(scored)
            | beam.io.WriteToParquet(f"{output}/rows/part", SCORED, codec="zstd", file_name_suffix=".parquet")
        )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
