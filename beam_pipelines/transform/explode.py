"""Arrays taken apart: a row for each element."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines import ledger
from beam_pipelines.columnar.batches import split_to_bounds
from beam_pipelines.columnar.changes import Changed, Counted
from beam_pipelines.contract.derived import as_contract, renamed, with_fields, without_key
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Explosion:
    """A row for each element of an array, which stands in the array's column; other columns are repeated.

    A row whose array is null or empty stays, with a null, or is counted as filtered.

    >>> tags = Explosion.of(pa.schema([("id", pa.int64()), ("tags", pa.list_(pa.string()))]), "tags", place="n")
    >>> changed = tags(pa.record_batch({"id": [1, 2], "tags": [["a", "b"], None]}))
    >>> next(iter(changed.good)).to_pydict()
    {'id': [1, 1, 2], 'tags': ['a', 'b', None], 'n': [1, 2, None]}
    """

    source: Contract
    contract: Contract
    column: str
    place: str | None
    keep_empty: bool

    @classmethod
    def of(
        cls, source: Contract | pa.Schema, column: str, *, place: str | None = None, keep_empty: bool = True
    ) -> Explosion:
        """Check the column. UsageError when it is no array, or when `place` is the name of another column."""
        start = as_contract(source)
        if column not in start.names:
            raise UsageError(f"there is no column '{column}' to explode." + did_you_mean(column, start.names))
        field = start.field(column)
        if not _is_list(field.type):
            arrays = [each.name for each in start.fields if _is_list(each.type)]
            raise UsageError(f"column '{column}' is {field.type}, not an array." + did_you_mean(column, arrays))
        if place in start.names:
            raise UsageError(f"there is a column '{place}' already: give the place in the array another name")
        fields = [_element(each) if each.name == column else each for each in start.fields]
        if place is not None:
            fields.append(Field(place, pa.int64()))
        return cls(start, with_fields(start, without_key(fields)), column, place, keep_empty)

    def __call__(self, batch: pa.RecordBatch) -> Changed:
        lists = batch.column(self.column)
        counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        made = np.maximum(counts, 1) if self.keep_empty else counts
        rows = np.repeat(np.arange(batch.num_rows), made)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(made) - made, made)
        empty = np.repeat(counts == 0, made)
        starts = lists.offsets.to_numpy()[:-1].astype(np.int64)
        elements = lists.values.take(pa.array(starts[rows] + within, mask=empty))
        exploded = batch.take(pa.array(rows))
        index = batch.schema.get_field_index(self.column)
        exploded = exploded.set_column(index, pa.field(self.column, elements.type), elements)
        if self.place is not None:
            exploded = exploded.append_column(self.place, pa.array(within + 1, mask=empty))
        gone = int(np.count_nonzero(made == 0))
        added = Counted(ledger.ADDED, exploded.num_rows - (batch.num_rows - gone))
        return Changed(split_to_bounds(exploded), None, (added, Counted(ledger.FILTERED, gone, "explode.empty")))


def _is_list(type: pa.DataType) -> bool:
    return pa.types.is_list(type) or pa.types.is_large_list(type)


def _element(field: Field) -> Field:
    """The array's item, hidden at least as the array is."""
    item = renamed(field.children[0], field.name)
    return dataclasses.replace(
        item,
        required=False,
        mask=item.mask or field.mask,
        classification=item.classification or field.classification,
        partition_position=field.partition_position,
    )
