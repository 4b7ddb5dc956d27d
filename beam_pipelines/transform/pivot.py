"""Rows of names and values turned into columns, one row for each key."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.contract.derived import Masks, as_contract, derived_field, with_fields
from beam_pipelines.contract.field import RESERVED_PREFIX
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.transform.deduplicate import MAX_SHARD_BYTES, deduplicate, starts_of

Keep = Literal["first", "last"]


@dataclasses.dataclass(frozen=True)
class Pivoting:
    """For each key one row, with a column for each of the given names.

    >>> long = pa.schema([("id", pa.int64()), ("name", pa.string()), ("value", pa.int64())])
    >>> pivot = Pivoting.of(long, ["id"], "name", "value", ["jan", "feb"])
    >>> made = pivot([pa.record_batch({"id": [1, 2, 1], "name": ["jan", "feb", "feb"], "value": [10, 5, 7]})])
    >>> made.rows.to_pydict(), made.merged
    ({'id': [1, 2], 'jan': [10, None], 'feb': [7, 5]}, 1)
    """

    source: Contract
    contract: Contract
    keys: tuple[str, ...]
    names: str
    values: str
    columns: tuple[str, ...]
    keep: Keep

    @classmethod
    def of(
        cls,
        source: Contract | pa.Schema,
        keys: Sequence[str],
        names: str,
        values: str,
        columns: Sequence[str],
        *,
        keep: Keep = "first",
        masks: Masks | None = None,
    ) -> Pivoting:
        """Plan it. UsageError for columns that aren't there or would be there twice."""
        start = as_contract(source)
        for column in (*keys, names, values):
            if column not in start.names:
                raise UsageError(f"there is no column '{column}' to pivot by." + did_you_mean(column, start.names))
        if not keys or not columns:
            raise UsageError("pivot takes key columns, and the names that become columns")
        if len({*keys, names, values}) < len(keys) + 2:
            raise UsageError("the columns of keys, names and values must be different ones")
        if not pa.types.is_string(start.field(names).type):
            raise UsageError(f"column '{names}' is {start.field(names).type}, not of names: CAST it to VARCHAR first")
        time = start.event_time
        kept = [start.field(key) for key in keys]
        if time is not None and time.name not in keys:
            kept.append(time)
        taken = [field.name for field in kept]
        for name in columns:
            if name in taken or name.startswith(RESERVED_PREFIX):
                raise UsageError(f"a pivoted column can't be called '{name}': there is one already, or it is ours")
            taken.append(name)
        value = start.field(values)
        made = [derived_field(name, value.type, [value], masks or {}, same_value=True) for name in columns]
        contract = with_fields(start, [*kept, *made])
        return cls(start, contract, tuple(keys), names, values, tuple(columns), keep)

    @property
    def event_time(self) -> str | None:
        return None if self.source.event_time is None else self.source.event_time.name

    def wanted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows whose name becomes a column."""
        names = batch.column(self.names)
        return batch.filter(pc.is_in(names, value_set=pa.array(self.columns, names.type)))

    def __call__(self, pieces: Iterable[pa.RecordBatch], max_bytes: int = MAX_SHARD_BYTES) -> Pivoted:
        """Pivot all rows of some keys. ValueError when there are none."""
        one = deduplicate(pieces, [*self.keys, self.names], self.event_time, max_bytes, keep=self.keep)
        rows = one.rows
        order = pc.sort_indices(rows, sort_keys=[(key, "ascending") for key in self.keys])
        ordered = rows.take(order)
        starts = starts_of(ordered.select(list(self.keys)))
        group = np.cumsum(starts) - 1
        count = int(group[-1]) + 1
        first = _earliest(ordered, group, count, self.event_time)
        whole = ordered.take(pa.array(first))
        arrays, fields = [], []
        for field in self.contract.fields:
            if field.name not in self.columns:
                arrays.append(whole.column(field.name))
            else:
                named = pc.fill_null(pc.equal(ordered.column(self.names), field.name), False)
                places = np.flatnonzero(named.to_numpy(zero_copy_only=False))
                there = np.full(count, -1)
                there[group[places]] = places
                arrays.append(ordered.column(self.values).take(pa.array(there, mask=there < 0)))
            fields.append(pa.field(field.name, field.type, nullable=not field.required))
        for field in whole.schema:
            if field.name.startswith(RESERVED_PREFIX):
                arrays.append(whole.column(field.name))
                fields.append(field)
        made = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
        return Pivoted(made, one.duplicates, ordered.num_rows - count)


@dataclasses.dataclass(frozen=True)
class Pivoted:
    """The rows; how many had a name that their key has already; how many went into others."""

    rows: pa.RecordBatch
    duplicates: int
    merged: int


def _earliest(rows: pa.RecordBatch, group: np.ndarray, count: int, event_time: str | None) -> np.ndarray:
    """For each group the row that stands for it: the earliest, or the first there is."""
    first = np.zeros(count, np.int64)
    if event_time is None:
        first[group[::-1]] = np.arange(rows.num_rows)[::-1]
        return first
    order = pc.array_sort_indices(rows.column(event_time)).to_numpy()[::-1]
    first[group[order]] = order
    return first
