"""How unlike the others of its group each value is: z-score, robust z-score, distance from the quartiles.

Values are sorted before they are summed, so the answer doesn't depend on the order in which rows come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Method = Literal["zscore", "robust_zscore", "iqr"]
METHODS: tuple[str, ...] = get_args(Method)

THRESHOLDS = {"zscore": 3.0, "robust_zscore": 3.5, "iqr": 1.5}
"""Usual limits: three sigma; Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993; Tukey's fences, 1977."""

_TO_SIGMA = 0.6744897501960817  # the normal distribution's third quartile: MAD times its inverse estimates sigma

Values = npt.NDArray[np.float64]


def anomaly_scores(values: pa.Array, groups: npt.NDArray[np.int64], method: Method) -> pa.Array:
    """Score each value against all values of its group; null for a null or NaN.

    `zscore`: distance from the mean in sample standard deviations. `robust_zscore`: from the median, in sigmas
    estimated by the median absolute deviation. `iqr`: beyond the nearer quartile, in interquartile ranges;
    0 between the quartiles. Where all of a group are alike the scale is 0: a value like the others scores 0,
    another one infinity. A group of one value scores 0.

    >>> scores = anomaly_scores(pa.array([1.0, 2.0, 3.0, 100.0, None]), np.zeros(5, np.int64), "robust_zscore")
    >>> [None if score is None else round(score, 2) for score in scores.to_pylist()]
    [1.01, 0.34, 0.34, 65.76, None]
    """
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    known = np.flatnonzero(~np.isnan(numbers))
    scores = np.full(len(numbers), np.nan)
    order = known[np.lexsort((numbers[known], groups[known]))]
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    for start, end in zip(starts, np.append(starts[1:], len(order))[: len(starts)], strict=True):
        rows = order[start:end]
        scores[rows] = _METHODS[method](numbers[rows])
    return pa.array(scores, mask=np.isnan(scores))


def groups_of(batch: pa.RecordBatch, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number the groups of rows that are equal in some columns; which number a group has says nothing."""
    if not columns:
        return np.zeros(batch.num_rows, np.int64)
    table = pa.table({name: batch.column(name) for name in columns})
    rows = pa.array(np.arange(batch.num_rows))
    lists = table.append_column("__row", rows).group_by(list(columns)).aggregate([("__row", "list")])
    members = lists.column("__row_list").combine_chunks()
    numbers = np.empty(batch.num_rows, np.int64)
    lengths = np.diff(members.offsets.to_numpy())
    numbers[members.flatten().to_numpy()] = np.repeat(np.arange(len(members)), lengths)
    return numbers


def _zscore(values: Values) -> Values:
    mean = math.fsum(values) / len(values)
    away = np.abs(values - mean)
    largest = float(away.max())
    if len(values) < 2 or largest == 0:
        return np.zeros(len(values))
    share = away / largest  # squares of very small distances would be 0
    return share / math.sqrt(math.fsum(share * share) / (len(values) - 1))


def _robust_zscore(values: Values) -> Values:
    away = np.abs(values - np.median(values))
    return _scaled(away * _TO_SIGMA, float(np.median(away)))


def _iqr(values: Values) -> Values:
    lower, upper = np.quantile(values, (0.25, 0.75))
    return _scaled(np.maximum(np.maximum(lower - values, values - upper), 0.0), float(upper - lower))


def _scaled(away: Values, scale: float) -> Values:
    if scale > 0:
        return away / scale
    return np.where(away > 0, np.inf, 0.0)


_METHODS: dict[str, Callable[[Values], Values]] = {"zscore": _zscore, "robust_zscore": _robust_zscore, "iqr": _iqr}
