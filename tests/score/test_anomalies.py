"""Anomalies: the numbers are those of independent computations, whatever the order of rows."""

from __future__ import annotations

import math
import statistics
from datetime import datetime, timedelta, timezone

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.ml.anomaly.detectors.iqr import IQR  # noqa: F401  what the docs point to is there
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.errors import UsageError
from beam_pipelines.score.anomalies import METHODS, anomaly_scores, groups_of
from beam_pipelines.score.anomalies_transform import DetectAnomalies

VALUES = st.lists(st.tuples(st.integers(0, 3), st.floats(-1e6, 1e6) | st.none()), max_size=40)


def _expected(method: str, value: float, group: list[float]) -> float:
    if method == "zscore":
        if len(group) < 2:
            return 0.0
        away, scale = abs(value - statistics.fmean(group)), statistics.stdev(group)
    elif method == "robust_zscore":
        middle = statistics.median(group)
        away, scale = abs(value - middle), statistics.median(abs(each - middle) for each in group) / 0.6744897501960817
    else:
        if len(group) < 2:
            return 0.0
        lower, _, upper = statistics.quantiles(group, n=4, method="inclusive")
        away, scale = max(lower - value, value - upper, 0.0), upper - lower
    return away / scale if scale else (math.inf if away else 0.0)


@given(VALUES, st.sampled_from(METHODS), st.randoms(use_true_random=False))
def test_scores_are_those_of_the_textbook(rows, method, random) -> None:
    groups = np.array([group for group, _ in rows], np.int64)
    values = [value for _, value in rows]
    scores = anomaly_scores(pa.array(values, pa.float64()), groups, method).to_pylist()
    for place, (group, value) in enumerate(rows):
        if value is None:
            assert scores[place] is None
            continue
        others = [each for number, each in rows if number == group and each is not None]
        expected = _expected(method, value, others)
        spread = max(others) - min(others)
        if spread > 1e-6 * max(map(abs, others), default=0):  # else rounding decides what is alike
            assert scores[place] == pytest.approx(expected, rel=1e-6, abs=1e-9) or math.isinf(expected)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = anomaly_scores(pa.array([values[place] for place in order], pa.float64()), groups[order], method)
    assert shuffled.to_pylist() == [scores[place] for place in order], "to the last bit"


@given(st.lists(st.tuples(st.sampled_from(["a", None]), st.integers(0, 2)), max_size=30))
def test_rows_of_equal_keys_are_one_group(rows) -> None:
    batch = pa.record_batch(
        {"x": pa.array([x for x, _ in rows], pa.string()), "y": pa.array([y for _, y in rows], pa.int64())}
    )
    numbers = groups_of(batch, ["x", "y"])
    assert len(set(numbers.tolist())) == len(set(rows))
    assert len({(row, number) for row, number in zip(rows, numbers.tolist(), strict=True)}) == len(set(rows))


SCHEMA = pa.schema([("shop", pa.string()), ("at", pa.timestamp("us", "UTC")), ("amount", pa.int64())])
START = datetime(2026, 3, 1, tzinfo=timezone.utc)


def test_each_row_is_judged_among_its_group_and_window() -> None:
    rows = [
        {"shop": shop, "at": START + timedelta(days=day, minutes=minute), "amount": amount}
        for shop in "ab"
        for day in range(2)
        for minute, amount in enumerate([10, 11, 12, 13, 14, 15])
    ]
    rows[3]["amount"] = 900  # shop a, the first day
    rows.append({"shop": "a", "at": START + timedelta(days=1, hours=3), "amount": None})
    rows.append({"shop": "c", "at": START, "amount": 10**9})  # alone
    batches = [pa.RecordBatch.from_pylist(rows[start : start + 5], SCHEMA) for start in range(0, len(rows), 5)]
    detect = DetectAnomalies(SCHEMA, "amount", group_by=["shop"], window=timedelta(days=1), event_time="at")
    assert detect.contract.names == ("shop", "at", "amount", "anomaly_score", "anomaly")
    with beam.Pipeline("FnApiRunner") as pipeline:
        marked = pipeline | beam.Create(batches) | detect
        flags = marked | "Flags" >> beam.FlatMap(
            lambda batch: [(row["shop"], row["amount"], row["anomaly"]) for row in batch.to_pylist()]
        )
        expected = [(row["shop"], row["amount"], row["amount"] == 900 if row["amount"] else None) for row in rows]
        assert_that(flags, equal_to(expected))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "amuont"}, "there is no column 'amuont'. Did you mean 'amount'?"),
        ({"column": "shop"}, "scores numbers; 'shop' is string"),
        ({"method": "zscor"}, "there is no method 'zscor' of zscore, robust_zscore, iqr. Did you mean 'zscore'?"),
        ({"window": timedelta(hours=1)}, "windows are of event time: name its column"),
        ({"group_by": ["ship"]}, "there is no column 'ship'. Did you mean 'shop'?"),
        ({"shards": 0}, "1 shard or more, not 0"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as wrong:
        DetectAnomalies(SCHEMA, **({"column": "amount"} | options))
    assert message in str(wrong.value)
