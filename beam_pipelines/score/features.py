"""Columns as what models read: a matrix of numbers, or a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean


def check_features(features: Sequence[str], schema: pa.Schema, whose: str) -> None:
    """UsageError when a model reads a column that isn't there, or of a type no model reads."""
    for name in features:
        if name not in schema.names:
            raise UsageError(f"{whose} reads a column '{name}', which isn't there.{did_you_mean(name, schema.names)}")
        kind = schema.field(name).type
        if not (_is_number(kind) or pa.types.is_string(kind)):
            raise UsageError(f"{whose} reads '{name}', which is {kind}: features are numbers, booleans or strings")


def missing(batch: pa.RecordBatch, features: Sequence[str]) -> dict[str, npt.NDArray[np.bool_]]:
    """For each feature with nulls, in which rows."""
    columns = {name: batch.column(name) for name in features}
    return {
        name: column.is_null().to_numpy(zero_copy_only=False) for name, column in columns.items() if column.null_count
    }


def all_numbers(batch: pa.RecordBatch, features: Sequence[str]) -> bool:
    """Whether the features make a matrix."""
    return all(_is_number(batch.schema.field(name).type) for name in features)


def matrix(batch: pa.RecordBatch, features: Sequence[str], dtype: type[np.floating[Any]]) -> npt.NDArray[Any]:
    """Features as a matrix, a row for each row; there are no nulls in them.

    >>> matrix(pa.record_batch({"a": [1, 2], "b": [True, False]}), ["b", "a"], np.float64).tolist()
    [[1.0, 1.0], [0.0, 2.0]]
    """
    whole = np.empty((batch.num_rows, len(features)), dtype)
    for place, name in enumerate(features):
        column = batch.column(name)
        if pa.types.is_decimal(column.type) or pa.types.is_boolean(column.type):
            column = column.cast(pa.float64())
        whole[:, place] = column.to_numpy(zero_copy_only=False)
    return whole


def frame(batch: pa.RecordBatch, features: Sequence[str]) -> Any:
    """Features as a pandas data frame, for models that know their columns by name."""
    return batch.select(list(features)).to_pandas()


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )
