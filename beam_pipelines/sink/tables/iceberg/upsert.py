"""Keys of the rows that an upsert brings, and which rows of a table have them. Pure; it holds the keys in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.iceberg.types import arrow_schema
from beam_pipelines.sink.tables.keys import keys_of
from beam_pipelines.sink.tables.table import StagedFile

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.schema import Schema

_ROW = "__row"


class Keys(NamedTuple):
    """The keys of all rows of a commit, each once."""

    names: tuple[str, ...]
    table: pa.Table

    @classmethod
    def of(cls, files: Sequence[StagedFile], schema: Schema, names: tuple[str, ...], name: str) -> Keys:
        """Read them. UsageError if a key is there twice: which row is to stay, nobody said."""
        kinds = pa.schema([arrow_schema(schema).field(each).remove_metadata() for each in names])
        return cls(names, keys_of(files, kinds, name))

    def range(self) -> BooleanExpression:
        """A filter that all files pass which may have one of the keys."""
        from pyiceberg import expressions
        from pyiceberg.expressions.literals import literal

        made: Any = expressions  # pydantic's plugin for mypy takes their arguments for something else
        found = made.AlwaysTrue()
        for name in self.names:
            column = self.table.column(name)
            if len(column) and not pa.types.is_nested(column.type) and not pa.types.is_boolean(column.type):
                bounds = pc.min_max(column).as_py()
                least = made.GreaterThanOrEqual(made.Reference(name), literal(bounds["min"]))
                most = made.LessThanOrEqual(made.Reference(name), literal(bounds["max"]))
                found = made.And(found, made.And(least, most))
        return cast("BooleanExpression", found)

    def rows_in(self, batches: Iterable[pa.RecordBatch]) -> np.ndarray[Any, Any]:
        """Numbers of the rows that have one of the keys, counted over all batches, in order."""
        found, start = [], 0
        for batch in batches:
            rows = pa.Table.from_batches([batch]).select(self.names)
            numbers = pa.array(range(start, start + batch.num_rows), pa.int64())
            start += batch.num_rows
            hit = rows.append_column(_ROW, numbers).join(self.table, list(self.names), join_type="left semi")
            found.append(np.sort(hit.column(_ROW).to_numpy()))
        return np.concatenate(found) if found else np.empty(0, np.int64)

    @staticmethod
    def staying(batch: pa.RecordBatch, gone: np.ndarray[Any, Any], start: int) -> pa.RecordBatch:
        """The rows of a batch, the first of which has the number `start`, without those that are gone."""
        first, last = np.searchsorted(gone, [start, start + batch.num_rows])
        if first == last:
            return batch
        mask = np.ones(batch.num_rows, bool)
        mask[gone[first:last] - start] = False
        return batch.filter(pa.array(mask))
