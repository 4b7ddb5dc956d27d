"""A contract's quality rules that are judged in each row: SQL over its columns."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions import EvaluationError, Expression
from beam_pipelines.columnar.failures import Rows
from beam_pipelines.contract.model import Contract
from beam_pipelines.contract.rules import QualityRule


class BrokenRule(NamedTuple):
    """Rows that break a quality rule, and why; the message holds nothing of the rows."""

    rule: QualityRule
    code: str
    rows: Rows
    message: str


def broken_row_rules(batch: pa.RecordBatch, contract: Contract) -> Iterator[BrokenRule]:
    """Yield the rules that rows of the contract's columns break: those of which the condition is FALSE.

    One that is NULL is kept, as in a CHECK. A row of which it can't be computed (a sum too big for its type,
    a text that can't be cast) breaks the rule too.

    >>> from beam_pipelines.contract import Field
    >>> rule = QualityRule("sql", "mustBe", True, title="cheap", query="price < 5")
    >>> contract = Contract("c", (Field("price", pa.int64()),), quality=(rule,))
    >>> [(each.code, each.rows.tolist()) for each in broken_row_rules(pa.record_batch({"price": [1, 9]}), contract)]
    [('quality.cheap', [1])]
    """
    for rule, condition in _compiled(contract):
        code = f"quality.{rule.title or 'sql'}"
        query = " ".join((rule.query or "").split())
        failing, uncomputed = _failing(batch, condition, 0)
        if failing:
            yield BrokenRule(rule, code, np.array(failing, np.int64), f"{query} {rule.demand}")
        if uncomputed:
            yield BrokenRule(rule, code, np.array(uncomputed, np.int64), f"{query} can't be computed")


@functools.lru_cache(maxsize=16)
def _compiled(contract: Contract) -> tuple[tuple[QualityRule, Expression], ...]:
    if not contract.row_rules:
        return ()
    from beam_pipelines.contract.sql_rules import row_condition  # the parser of SQL takes 0.3 s to import

    schema = pa.schema([(field.name, field.type) for field in contract.fields])
    return tuple((rule, row_condition(rule, schema, contract.name)) for rule in contract.row_rules)


def _failing(batch: pa.RecordBatch, condition: Expression, start: int) -> tuple[list[int], list[int]]:
    """Rows of which the condition is false, and those of which it can't be computed."""
    try:
        broken = pc.equal(condition.evaluate(batch), False)
    except EvaluationError:
        if batch.num_rows == 1:
            return [], [start]
        middle = batch.num_rows // 2
        halves = (batch.slice(0, middle), start), (batch.slice(middle), start + middle)
        found = [_failing(half, condition, at) for half, at in halves]
        return found[0][0] + found[1][0], found[0][1] + found[1][1]
    rows = np.flatnonzero(pc.fill_null(broken, False).to_numpy(zero_copy_only=False))
    return (rows + start).tolist(), []
