"""Every aggregate function, as a stage, as a CombineFn and as a funnel."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

import beam_pipelines as bp
from tests.conformance import kept
from tests.conformance.case import Case, Outputs

_SCHEMA = pa.schema([("k", pa.string()), ("x", pa.float64()), ("s", pa.string()), ("at", pa.timestamp("us", "UTC"))])
_START = datetime(2024, 1, 1, tzinfo=timezone.utc)
_ROWS = [
    {"k": key, "x": x, "s": step, "at": _START + timedelta(minutes=minute)}
    for key, x, step, minute in (
        ("a", 1.0, "view", 0),
        ("a", 2.0, "cart", 5),
        ("a", 4.0, "view", 10),
        ("a", 9.0, "buy", 12),
        ("b", None, "view", 1),
        ("b", 5.0, "cart", 1),
    )
]
_SQL = """
    count_if(x > 1) as many, bool_and(x > 1) as every, bool_or(x > 8) as some, any_value(s) as any_s,
    first(x) as first_x, last(s) as last_s, min_by(s, x) as low_s, max_by(s, x) as high_s,
    variance(x) as var, stddev_pop(x) as sd, covar_pop(x, x) as covar, corr(x, x) as r,
    median(x) as mid, quantile_cont(x, 0.9) as p90, quantile_disc(x, 0.5) as p50,
    round(approx_quantile(x, 0.5), 2) as about, mode(s) as usual, top_k(s, 1) as top, approx_top_k(s, 1) as about_top,
    approx_count_distinct(s) as kinds, funnel('10m', s = 'view', s = 'cart', s = 'buy') as level
"""
_A = {
    "many": 3, "every": False, "some": True, "any_s": "buy", "first_x": 1.0, "last_s": "buy", "low_s": "view",
    "high_s": "buy", "var": 38 / 3, "sd": math.sqrt(9.5), "covar": 9.5, "r": 1.0, "mid": 3.0, "p90": 7.5, "p50": 2.0,
    "about": 2.01, "usual": "view", "top": [{"value": "view", "count": 2}],
    "about_top": [{"value": "view", "count": 2, "error": 0}], "kinds": 3, "level": 2,
}  # fmt: skip
_B = {
    "many": 1, "every": True, "some": False, "any_s": "cart", "first_x": 5.0, "last_s": "view", "low_s": "cart",
    "high_s": "cart", "var": None, "sd": 0.0, "covar": 0.0, "r": None, "mid": 5.0, "p90": 5.0, "p50": 5.0,
    "about": 5.0, "usual": "cart", "top": [{"value": "cart", "count": 1}],
    "about_top": [{"value": "cart", "count": 1, "error": 0}], "kinds": 2, "level": 1,
}  # fmt: skip


def _batches(pipeline: beam.Pipeline, label: str) -> beam.PCollection[pa.RecordBatch]:
    made = [pa.RecordBatch.from_pylist(_ROWS[start : start + 2], _SCHEMA) for start in (4, 0, 2)]
    return pipeline | f"{label}: input" >> beam.Create(made).with_output_types(pa.RecordBatch)


def _functions(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    made = _batches(pipeline, "functions")
    daily = bp.AggregateBatches(
        _SCHEMA, _SQL, group_by=["k"], window="fixed:1d", event_time="at", shards=2, hot_key_fanout=3
    )
    rows = pipeline | "Aggregate: input" >> beam.Create([(row["k"], row) for row in _ROWS])
    combined = rows | "Aggregate" >> beam.CombinePerKey(bp.Aggregate(_SQL, _SCHEMA, event_time="at"))
    steps = {"view": "s = 'view'", "cart": "s = 'cart'", "buy": "s = 'buy'"}
    funnel = bp.MeasureFunnel(_SCHEMA, steps, user="k", within="10m", event_time="at", window="fixed:1d")
    return {
        "panes": (made | "functions" >> daily).panes,
        "combined": combined | "Aggregate: texts" >> beam.Map(lambda keyed: repr(keyed)).with_output_types(str),
        "funnel": (made | "MeasureFunnel" >> funnel).panes,
    }


def _functions_expected(folder: Path) -> dict[str, list[str]]:
    day: dict[str, Any] = {"window_start": _START, "window_end": _START + timedelta(days=1)}
    came = {"view": 2, "cart": 1, "buy": 0, "conversion": 0.0}
    return {
        "panes": kept.texts([{**day, "k": "a", **_A, "__rows": 4}, {**day, "k": "b", **_B, "__rows": 2}]),
        "combined": kept.texts([("a", _A), ("b", _B)]),
        "funnel": kept.texts([{**day, **came, "__rows": 6}]),
    }


CASES = (
    Case("aggregate_functions", ("AggregateBatches", "Aggregate", "MeasureFunnel"), _functions, _functions_expected),
)
