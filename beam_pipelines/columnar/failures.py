"""Why rows are refused, for many rows at once: failures grouped by rule, put together row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.provenance import FAILURE_TYPE

Rows = npt.NDArray[np.int64]
"""Row numbers within a batch."""

SHOWN_CHARS = 80
"""Longest value in a failure, in characters: enough to recognise it; the whole is in the payload."""

HIDDEN = "***"
"""Stands for the value of a sensitive field."""


class Failed(NamedTuple):
    """Failures and the rows they are of; a row may be there several times."""

    rows: Rows
    failures: pa.StructArray


def failed(
    rows: Rows,
    rule: str,
    field: str | pa.Array | None,
    message: str | pa.Array,
    values: pa.Array | None = None,
    sensitive: bool = False,
) -> Failed:
    """Say that rows broke one rule. `values`, if any, are theirs; `field` may be a path for each of them.

    >>> broken = failed(np.array([3]), "minimum", "price", "must be at least 0", pa.array([-1]))
    >>> broken.failures.to_pylist()
    [{'rule': 'minimum', 'field': 'price', 'value': '-1', 'message': 'must be at least 0'}]
    """
    count = len(rows)
    if values is None:
        texts = pa.nulls(count, pa.string())
    elif sensitive:
        texts = pc.if_else(values.is_null(), None, pa.repeat(HIDDEN, count))
    else:
        texts = shown(values)
    columns = [
        pa.repeat(rule, count),
        field if isinstance(field, pa.Array) else pa.repeat(pa.scalar(field, pa.string()), count),
        texts,
        pa.repeat(message, count) if isinstance(message, str) else message,
    ]
    return Failed(rows, pa.StructArray.from_arrays(columns, fields=list(FAILURE_TYPE)))


def shown(values: pa.Array) -> pa.Array:
    """Return values as text for people, cut to SHOWN_CHARS.

    >>> shown(pa.array([1.5, None])).to_pylist()
    ['1.5', None]
    """
    if pa.types.is_nested(values.type):
        texts = pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    else:
        texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest <= SHOWN_CHARS:
        return texts
    cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, SHOWN_CHARS - 1), "…", "")
    return pc.if_else(pc.greater(pc.utf8_length(texts), SHOWN_CHARS), cut, texts)


def failures_column(found: Sequence[Failed], num_rows: int) -> pa.ListArray:
    """Put failures together by row, in the order they are given; null for rows that have none.

    >>> found = [failed(np.array([1]), "required", "id", "is missing")]
    >>> failures_column(found, 2).is_null().to_pylist()
    [True, False]
    """
    if not found:
        return pa.nulls(num_rows, pa.list_(FAILURE_TYPE))
    rows = np.concatenate([part.rows for part in found])
    failures = pa.concat_arrays([part.failures for part in found])
    if np.any(rows[1:] < rows[:-1]):
        order = np.argsort(rows, kind="stable")
        failures = failures.take(pa.array(order))
    counts = np.bincount(rows, minlength=num_rows)
    offsets = np.zeros(num_rows + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_arrays(
        pa.array(offsets), failures, type=pa.list_(FAILURE_TYPE), mask=pa.array(counts == 0)
    )


def flattened(failures: pa.ListArray) -> Failed:
    """Undo `failures_column`.

    >>> column = failures_column([failed(np.array([1]), "required", "id", "is missing")], 2)
    >>> flattened(column).rows.tolist()
    [1]
    """
    rows = pc.list_parent_indices(failures).cast(pa.int64()).to_numpy()
    return Failed(rows, failures.flatten())
