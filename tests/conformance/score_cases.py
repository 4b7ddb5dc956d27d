"""Scoring with a model, and rows that are unlike the others."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import apache_beam as beam
import pyarrow as pa

import beam_pipelines as bp
from tests.conformance import kept
from tests.conformance.case import Case, Outputs
from tests.score.models import write_linear

_SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.float64()), ("at", pa.timestamp("us", "UTC"))])
_START = datetime(2024, 1, 1, tzinfo=timezone.utc)
_X = [1.0, None, 3.0, 2.0, 50.0]
_ROWS = [{"id": place, "x": x, "at": _START + timedelta(hours=place)} for place, x in enumerate(_X)]


def _batches(pipeline: beam.Pipeline, label: str) -> beam.PCollection[pa.RecordBatch]:
    made = [pa.RecordBatch.from_pylist(rows, _SCHEMA) for rows in (_ROWS[3:], _ROWS[:3])]
    return pipeline | f"{label}: input" >> beam.Create(made).with_output_types(pa.RecordBatch)


def _score(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    (folder / "models").mkdir()
    double, triple = (write_linear(folder / "models", slope) for slope in (2.0, 3.0))
    scores = _batches(pipeline, "ScoreBatches") | bp.ScoreBatches(_SCHEMA, double, shadow=triple, tolerance=2.5)
    return {
        "good": scores.good,
        "refused": scores.dead_letters
        | "ScoreBatches: rules" >> beam.Map(lambda letters: repr(letters.column("rule").to_pylist())),
        "ledger": scores.ledger,
        "disagreement": scores.disagreement,
    }


def _score_expected(_: Path) -> dict[str, list[str]]:
    model = {"model_id": "linear", "model_version": "2.0"}
    shadow = {"shadow_id": "linear", "shadow_version": "3.0"}
    counts = {"rows": 4, "disagreeing": 2, "largest_difference": 50.0}
    return {
        "good": kept.texts([{**row, "y": 2 * row["x"], **model} for row in _ROWS if row["x"] is not None]),
        "refused": ["['score.missing_feature']"],
        "ledger": kept.texts([(("", "ScoreBatches", "dead_lettered", "score.missing_feature"), 1)]),
        "disagreement": kept.texts([{"output": "y", **model, **shadow, **counts}]),
    }


def _anomalies(pipeline: beam.Pipeline, _: Path) -> Outputs:
    detect = bp.DetectAnomalies(_SCHEMA, "x", window=timedelta(days=1), event_time="at", method="iqr", shards=2)
    return {"marked": _batches(pipeline, "DetectAnomalies") | detect}


def _anomalies_expected(_: Path) -> dict[str, list[str]]:
    quartiles = 1.75, 14.75  # of 1, 2, 3 and 50, by linear interpolation
    width = quartiles[1] - quartiles[0]
    scores = [0.75 / width, None, 0.0, 0.0, 35.25 / width]
    flags = [False, None, False, False, True]
    marks = zip(_ROWS, scores, flags, strict=True)
    return {"marked": kept.texts([{**row, "anomaly_score": score, "anomaly": flag} for row, score, flag in marks])}


CASES = (
    Case("ScoreBatches", ("ScoreBatches",), _score, _score_expected),
    Case("DetectAnomalies", ("DetectAnomalies",), _anomalies, _anomalies_expected),
)
