"""Columns turned into rows: one for each of them, with its name and its value."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.columnar.batches import split_to_bounds
from beam_pipelines.columnar.changes import Changed, Counted
from beam_pipelines.columnar.expressions import Expression
from beam_pipelines.columnar.expressions.alike import alike
from beam_pipelines.contract.derived import Masks, as_contract, derived_field, with_fields, without_key
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Unpivoting:
    """A row for each of several columns, with its name and its value; the other columns are repeated.

    >>> wide = pa.schema([("id", pa.int64()), ("jan", pa.int64()), ("feb", pa.float64())])
    >>> months = Unpivoting.of(wide, ["jan", "feb"], names="month", values="sales")
    >>> next(iter(months(pa.record_batch({"id": [1], "jan": [10], "feb": [2.5]})).good)).to_pydict()
    {'id': [1, 1], 'month': ['jan', 'feb'], 'sales': [10.0, 2.5]}
    """

    source: Contract
    contract: Contract
    columns: tuple[str, ...]
    parts: tuple[Expression, ...]
    names: str
    values: str
    keep_nulls: bool

    @classmethod
    def of(
        cls,
        source: Contract | pa.Schema,
        columns: Sequence[str],
        *,
        names: str = "name",
        values: str = "value",
        keep_nulls: bool = True,
        masks: Masks | None = None,
    ) -> Unpivoting:
        """Plan it. UsageError for columns that aren't there, and names that are; ExpressionError for types that
        have none in common. Masks of the columns are inherited as `derived_field` says."""
        start = as_contract(source)
        if not columns:
            raise UsageError("unpivot takes columns that become rows, and none is named")
        for column in columns:
            if column not in start.names:
                raise UsageError(f"there is no column '{column}' to unpivot." + did_you_mean(column, start.names))
            if start.field(column).event_time:
                raise UsageError(f"'{column}' is the event time, which every row keeps: it can't be unpivoted")
        kept = [field for field in start.fields if field.name not in columns]
        for name in (names, values):
            if name in {field.name for field in kept}:
                raise UsageError(f"there is a column '{name}' already: give the new one another name")
        if names == values:
            raise UsageError(f"names and values can't both be called '{names}'")
        parts = alike(list(columns), start.schema)
        sources = [start.field(column) for column in columns]
        made = derived_field(values, parts[0].type, sources, masks or {}, same_value=True)
        fields = [*without_key(kept), Field(names, pa.string(), required=True), made]
        return cls(start, with_fields(start, fields), tuple(columns), tuple(parts), names, values, keep_nulls)

    def __call__(self, batch: pa.RecordBatch) -> Changed:
        rows, many = batch.num_rows, len(self.columns)
        order = np.arange(rows * many).reshape(many, rows).T.ravel()  # row by row, not column by column
        values = pa.concat_arrays([part.evaluate(batch) for part in self.parts]).take(pa.array(order))
        words = pa.DictionaryArray.from_arrays(
            pa.array(np.tile(np.arange(many, dtype=np.int32), rows)), list(self.columns)
        )
        long = batch.drop_columns(list(self.columns)).take(pa.array(np.repeat(np.arange(rows), many)))
        ours = sum(1 for field in self.contract.fields if field.name not in (self.names, self.values))
        ours = min(ours, long.num_columns)
        long = long.add_column(ours, pa.field(self.names, pa.string(), nullable=False), words.cast(pa.string()))
        long = long.add_column(ours + 1, pa.field(self.values, values.type), values)
        gone = 0
        if not self.keep_nulls:
            kept = long.filter(long.column(self.values).is_valid())
            gone, long = long.num_rows - kept.num_rows, kept
        counted = (Counted(ledger.ADDED, rows * (many - 1)), Counted(ledger.FILTERED, gone, "unpivot.null"))
        return Changed(split_to_bounds(long), None, counted)
