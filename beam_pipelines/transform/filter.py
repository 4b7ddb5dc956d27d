"""Rows kept by a condition in SQL."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines import ledger
from beam_pipelines.columnar.changes import Changed, Counted
from beam_pipelines.columnar.computed_rows import evaluate_rows, split_failed
from beam_pipelines.columnar.expressions import Expression, compile_expression
from beam_pipelines.contract.derived import as_contract
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import ExpressionError


@dataclasses.dataclass(frozen=True)
class Filter:
    """Rows for which a condition is true; those for which it is false or NULL are counted as filtered.

    >>> keep = Filter.of(pa.schema([("n", pa.int64())]), "n > 1")
    >>> changed = keep(pa.record_batch({"n": [1, 2, None]}))
    >>> changed.good[0].to_pydict(), changed.counted
    ({'n': [2]}, (Counted(outcome='filtered', rows=2, rule=''),))
    """

    contract: Contract
    condition: Expression

    @classmethod
    def of(cls, source: Contract | pa.Schema, condition: str) -> Filter:
        """Compile the condition. ExpressionError for one that can't be, or that isn't true or false."""
        contract = as_contract(source)
        compiled = compile_expression(condition, contract.schema)
        if not (pa.types.is_boolean(compiled.type) or pa.types.is_null(compiled.type)):
            raise ExpressionError(f"'{condition}' is {compiled.type}: a condition is true or false, as in 'price > 0'")
        return cls(contract, compiled)

    @property
    def source(self) -> Contract:
        return self.contract

    def __call__(self, batch: pa.RecordBatch) -> Changed:
        truth, failures = evaluate_rows(self.condition, batch, None, "the row can't be judged")
        whole, refused, (truth,) = split_failed(batch, failures, truth)
        kept = whole.filter(pc.fill_null(truth.cast(pa.bool_()), False))
        return Changed([kept], refused, (Counted(ledger.FILTERED, whole.num_rows - kept.num_rows),))
