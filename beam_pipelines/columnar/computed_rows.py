"""An expression over rows of which some can't go through it: their errors, and the values of the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from beam_pipelines.columnar.expressions import EvaluationError, Expression, ExpressionOverflowError
from beam_pipelines.columnar.failures import Failed, failed, failures_column
from beam_pipelines.columnar.provenance import FAILURES

OVERFLOW = "expression.overflow"
"""Rule of a dead letter: a result is too big for its type."""

VALUE = "expression.value"
"""Rule of a dead letter: a value can't go through the expression, as text that is no number through a CAST."""


class RowValues(NamedTuple):
    """`values` of the rows that have one, null for the others; `failures` of those."""

    values: pa.Array
    failures: tuple[Failed, ...]


def evaluate_rows(expression: Expression, batch: pa.RecordBatch, field: str | None, where: str) -> RowValues:
    """Compute an expression row by row as far as must be: rows that fail are found by halving the batch.

    `field` and `where` are the failures' field and what their message begins with. Costs nothing when no
    row fails; a row that does costs about log2(rows) evaluations of ever smaller halves.
    """
    try:
        return RowValues(expression.evaluate(batch), ())
    except EvaluationError as error:
        return _halved(expression, batch, field, where, error)


def _halved(
    expression: Expression, batch: pa.RecordBatch, field: str | None, where: str, error: EvaluationError
) -> RowValues:
    pieces: list[tuple[int, pa.Array]] = []
    bad: dict[tuple[str, str], list[int]] = {}
    waiting = [(0, batch.num_rows, error)]
    while waiting:
        start, length, error = waiting.pop()
        if length <= 1:
            rule = OVERFLOW if isinstance(error, ExpressionOverflowError) else VALUE
            reason = str(error).removeprefix(f"{expression.node.sql}: ")
            bad.setdefault((rule, f"{where}: {reason}"), []).extend(range(start, start + length))
            pieces.append((start, pa.nulls(length, expression.type)))
            continue
        half = length // 2
        for first, count in ((start, half), (start + half, length - half)):
            try:
                pieces.append((first, expression.evaluate(batch.slice(first, count))))
            except EvaluationError as wrong:  # noqa: PERF203  that some halves fail is the point
                waiting.append((first, count, wrong))
    pieces.sort(key=lambda piece: piece[0])
    failures = (failed(np.sort(rows), rule, field, message) for (rule, message), rows in bad.items())
    return RowValues(pa.concat_arrays([values for _, values in pieces]), tuple(failures))


def split_failed(
    batch: pa.RecordBatch, failures: tuple[Failed, ...], *values: pa.Array
) -> tuple[pa.RecordBatch, pa.RecordBatch | None, tuple[pa.Array, ...]]:
    """The rows without failures, those with, which carry them as `__failures`, and the former's `values`."""
    if not failures:
        return batch, None, values
    column = failures_column(failures, batch.num_rows)
    if FAILURES in batch.schema.names:
        batch = batch.drop_columns([FAILURES])
    fine = column.is_null()
    refused = batch.append_column(FAILURES, column).filter(column.is_valid())
    return batch.filter(fine), refused, tuple(each.filter(fine) for each in values)
