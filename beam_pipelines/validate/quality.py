"""Metrics of a data set: what a batch adds to each, and what comes of all batches together."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions import Expression
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.contract.patterns import to_re2
from beam_pipelines.contract.rules import QualityRule
from beam_pipelines.errors import UsageError
from beam_pipelines.validate.checks import listed_values

MAX_SHARD_BYTES = 512 << 20
"""Distinct keys of one shard, in bytes of Arrow; three times as much is needed while they are compared."""


class QualityResult(NamedTuple):
    """What became of one rule."""

    rule: str
    metric: str
    fields: str
    """Names of the fields that it is about, with commas; empty for the rows as a whole."""
    severity: str
    value: float
    """Rows, or percent of rows, as the rule has it."""
    demand: str
    rows: int
    """Rows of the data set."""
    passed: bool

    def __str__(self) -> str:
        value = f"{self.value:.4g}" if self.value != int(self.value) else f"{int(self.value)}"
        return f"{self.rule} is {value}, {self.demand}"


def count_by_rule(batch: pa.RecordBatch, contract: Contract) -> list[int]:
    """Count a batch's rows for each of the contract's rules about the data set.

    Of `duplicateValues` that is the rows that have a whole key: their distinct keys are subtracted in the end.

    >>> rule = QualityRule("nullValues", "mustBe", 0, ("a",))
    >>> contract = Contract("c", (Field("a", pa.int64()),), quality=(rule,))
    >>> count_by_rule(pa.record_batch({"a": [1, None]}), contract)
    [1]
    """
    return [_count(batch, rule, contract, query) for rule, query in _compiled(contract)]


@functools.lru_cache(maxsize=16)
def _compiled(contract: Contract) -> tuple[tuple[QualityRule, Expression | None], ...]:
    schema = pa.schema([(field.name, field.type) for field in contract.fields])
    compiled = []
    for rule in contract.data_set_rules:
        query = None
        if rule.metric == "sql":
            from beam_pipelines.contract.sql_rules import count_query  # the parser of SQL takes 0.3 s to import

            query = count_query(rule, schema, contract.name).condition
        compiled.append((rule, query))
    return tuple(compiled)


def _count(batch: pa.RecordBatch, rule: QualityRule, contract: Contract, condition: Expression | None) -> int:
    match rule.metric:
        case "rowCount":
            return int(batch.num_rows)
        case "nullValues":
            return int(batch.column(rule.fields[0]).null_count)
        case "missingValues" | "invalidValues":
            values, field = batch.column(rule.fields[0]), contract.field(rule.fields[0])
            return _missing(values, rule, field) if rule.metric == "missingValues" else _invalid(values, rule, field)
        case "duplicateValues":
            return len(_whole_keys(batch, rule.fields))
        case _:
            return int(batch.num_rows) if condition is None else _true(condition.evaluate(batch))


def _true(values: pa.Array) -> int:
    return int(pc.sum(values, min_count=0).as_py())


def _missing(values: pa.Array, rule: QualityRule, field: Field) -> int:
    listed = rule.listed or ()
    nulls = int(values.null_count) if None in listed else 0
    stated = tuple(value for value in listed if value is not None)
    return nulls + (_true(pc.is_in(values, value_set=listed_values(stated, field.type))) if stated else 0)


def _invalid(values: pa.Array, rule: QualityRule, field: Field) -> int:
    valid = values.is_valid()
    fits = valid
    if rule.listed is not None:
        stated = tuple(value for value in rule.listed if value is not None)
        fits = pc.and_(fits, pc.is_in(values, value_set=listed_values(stated, field.type)))
    if rule.pattern is not None:
        fits = pc.and_(fits, pc.fill_null(pc.match_substring_regex(values, to_re2(rule.pattern)), False))
    return _true(valid) - _true(fits)


def _whole_keys(batch: pa.RecordBatch, fields: Sequence[str]) -> pa.Table:
    keys = pa.table([batch.column(name) for name in fields], names=list(fields))
    return keys.drop_null()


def distinct_keys(batch: pa.RecordBatch, fields: Sequence[str]) -> pa.RecordBatch:
    """The distinct keys of a batch; rows with a null in it have none.

    >>> distinct_keys(pa.record_batch({"a": [1, 1, None, 2], "b": [0, 0, 0, 0]}), ["a"]).to_pydict()
    {'a': [1, 2]}
    """
    return _distinct(_whole_keys(batch, fields))


def _distinct(keys: pa.Table) -> pa.RecordBatch:
    if keys.num_columns == 1:  # a fifth of the time of a grouping
        return pa.RecordBatch.from_arrays([keys.column(0).unique()], keys.column_names)
    grouped = keys.group_by(keys.column_names, use_threads=False).aggregate([])
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in grouped.columns], keys.column_names)


def count_distinct(pieces: Iterable[pa.RecordBatch], max_bytes: int = MAX_SHARD_BYTES) -> int:
    """Count the distinct keys of batches that hold all of a shard's; UsageError when they are too many.

    >>> count_distinct([pa.record_batch({"a": [1, 2]}), pa.record_batch({"a": [2, 3]})])
    3
    """
    kept: pa.RecordBatch | None = None
    waiting: list[pa.RecordBatch] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += piece.nbytes
        if size > max(32 << 20, 0 if kept is None else kept.nbytes):
            kept, waiting, size = _together(kept, waiting), [], 0
            if kept.nbytes > max_bytes:
                raise UsageError(
                    f"duplicates can't be counted: a shard has {kept.nbytes:,} bytes of distinct keys, more than "
                    f"{max_bytes:,}. Give CheckQuality more shards"
                )
    return int(_together(kept, waiting).num_rows) if waiting or kept is not None else 0


def _together(kept: pa.RecordBatch | None, waiting: list[pa.RecordBatch]) -> pa.RecordBatch:
    return _distinct(pa.Table.from_batches([*([] if kept is None else [kept]), *waiting]))


def results(rules: Sequence[QualityRule], counts: Sequence[int], rows: int) -> list[QualityResult]:
    """Judge the rules by what was counted over all rows.

    >>> rule = QualityRule("nullValues", "mustBeLessThan", 1, ("email",), unit="percent")
    >>> print(results([rule], [3], 100)[0])
    nullValues of email is 3, must be below 1 percent
    """
    return [
        QualityResult(
            rule=rule.name,
            metric=rule.metric,
            fields=",".join(rule.fields),
            severity=rule.severity,
            value=float(rule.value(count, rows)),
            demand=rule.demand,
            rows=rows,
            passed=rule.passes(count, rows),
        )
        for rule, count in zip(rules, counts, strict=True)
    ]
