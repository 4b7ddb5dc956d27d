"""Columns chosen and renamed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pyarrow as pa

from beam_pipelines.columnar.changes import Changed
from beam_pipelines.columnar.expressions.selection import Chosen, parse_selection
from beam_pipelines.columnar.provenance import EXTRA
from beam_pipelines.contract.derived import as_contract, renamed, with_fields
from beam_pipelines.contract.field import RESERVED_PREFIX
from beam_pipelines.contract.model import Contract


@dataclasses.dataclass(frozen=True)
class Selection:
    """Columns in the given order, some under other names; provenance columns ride on.

    >>> chosen = Selection.of(pa.schema([("a", pa.int64()), ("b", pa.int64()), ("c", pa.int64())]), "c as z, a")
    >>> chosen(pa.record_batch({"a": [1], "b": [2], "c": [3]})).good[0].to_pydict()
    {'z': [3], 'a': [1]}
    """

    source: Contract
    contract: Contract
    chosen: tuple[Chosen, ...]
    everything: bool
    """Whether `*` stands for columns that the contract doesn't name, too: those of `onSchemaChange: evolve`."""

    @classmethod
    def of(cls, source: Contract | pa.Schema, columns: str | Sequence[str]) -> Selection:
        """Read a list such as `id, price as net`, `* EXCLUDE (a, b)` or `* RENAME (a AS b)`.

        ExpressionError for what is no column, or a name that would be there twice.
        """
        start = as_contract(source)
        text = columns if isinstance(columns, str) else ", ".join(columns)
        chosen, everything = parse_selection(text, start.schema)
        fields = [renamed(start.field(column), name) for column, name in chosen]
        return cls(start, with_fields(start, fields), tuple(chosen), everything)

    def __call__(self, batch: pa.RecordBatch) -> Changed:
        names = [name for _, name in self.chosen]
        columns = [column for column, _ in self.chosen]
        for name in batch.schema.names:
            if name.startswith(RESERVED_PREFIX) or (name == EXTRA and self.everything):
                names.append(name)
                columns.append(name)
        return Changed([batch.select(columns).rename_columns(names)])
