"""Rows changed one batch at a time, as transforms: filter, derive, select, explode, flatten, unpivot.

Each takes what comes in (a contract, or just an Arrow schema), and tells by `contract` what goes out, before
anything runs: `MaskBatches(derive.contract)`, `WriteToLake(…, masked_schema(derive.contract))`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.columnar.changes import apply_change
from beam_pipelines.contract.derived import Masks
from beam_pipelines.contract.model import Contract
from beam_pipelines.outcome import Outcome
from beam_pipelines.transform.derive import Derivation
from beam_pipelines.transform.explode import Explosion
from beam_pipelines.transform.filter import Filter
from beam_pipelines.transform.flatten import Flattening
from beam_pipelines.transform.select import Selection
from beam_pipelines.transform.unpivot import Unpivoting


class FilterBatches(beam.PTransform):
    """Keep rows for which an SQL condition is true: PCollection of batches to Outcome(good, dead_letters, ledger).

    Rows for which it is false or NULL are in the ledger as filtered. A row for which it can't be computed
    (an overflow, a CAST that fails) is a dead letter of rule `expression.overflow` or `expression.value`.
    What SQL there is: docs/expressions.md. ExpressionError, before anything runs, for a condition that
    can't be compiled for these columns.

    >>> numbers = pa.schema([("n", pa.int64())])
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     batches = pipeline | beam.Create([pa.record_batch({"n": [1, 2, 3]})])
    ...     kept = batches | FilterBatches(numbers, "n % 2 = 1")
    ...     _ = kept.good | beam.Map(lambda batch: print(batch.to_pydict()))
    {'n': [1, 3]}
    """

    def __init__(self, of: Contract | pa.Schema, where: str) -> None:
        super().__init__()
        self._change = Filter.of(of, where)

    @property
    def contract(self) -> Contract:
        """What comes out, which is what comes in."""
        return self._change.contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Outcome:
        return apply_change(batches, self._change, "FilterBatches")


class DeriveColumns(beam.PTransform):
    """Compute columns by SQL expressions: PCollection of batches to Outcome(good, dead_letters, ledger).

    `columns` are names and expressions, in order: each may read those before it. A name that is there
    already is replaced: `{"price": "CAST(price AS DOUBLE)", "city": "COALESCE(TRIM(city), '?')"}`. A row for
    which one can't be computed is a dead letter, which names the column and the expression, never a value.

    Put it before MaskBatches, which wants `contract`: a column that reads a sensitive field inherits its
    classification and mask, or is refused with UsageError, unless `masks` says how it is hidden (None: it
    may be shown); see `derived_field`. ExpressionError for what can't be compiled.

    >>> orders = pa.schema([("price", pa.decimal128(6, 2)), ("quantity", pa.int64())])
    >>> derive = DeriveColumns(orders, {"net": "price * quantity", "large": "net > 100"})
    >>> derive.contract.schema.field("net").type
    Decimal128Type(decimal128(26, 2))
    """

    def __init__(self, of: Contract | pa.Schema, columns: Mapping[str, str], masks: Masks | None = None) -> None:
        super().__init__()
        self._change = Derivation.of(of, columns, masks)

    @property
    def contract(self) -> Contract:
        """What comes out."""
        return self._change.contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Outcome:
        return apply_change(batches, self._change, "DeriveColumns")


class SelectColumns(beam.PTransform):
    """Choose, order and rename columns: PCollection of batches to PCollection of batches.

    `columns` is a list of names as SQL's SELECT has it: `"id, price AS net"`, `"* EXCLUDE (note)"`,
    `"* RENAME (id AS order_id)"`. Provenance columns ride on. ExpressionError for what is no column.

    >>> SelectColumns(pa.schema([("a", pa.int64()), ("b", pa.int64())]), "b AS c, a").contract.names
    ('c', 'a')
    """

    def __init__(self, of: Contract | pa.Schema, columns: str | Sequence[str]) -> None:
        super().__init__()
        self._change = Selection.of(of, columns)

    @property
    def contract(self) -> Contract:
        """What comes out."""
        return self._change.contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        return apply_change(batches, self._change, "SelectColumns").good


class FlattenStructs(beam.PTransform):
    """Replace structs by columns of their fields: PCollection of batches to PCollection of batches.

    `address` with `city` becomes `address_city`, however deep; arrays of structs stay as they are. `columns`
    are the structs, by default all. UsageError when there is no such struct or names would collide.

    >>> orders = pa.schema([("id", pa.int64()), ("buyer", pa.struct([("name", pa.string())]))])
    >>> FlattenStructs(orders).contract.names
    ('id', 'buyer_name')
    """

    def __init__(self, of: Contract | pa.Schema, columns: Sequence[str] | None = None, *, separator: str = "_") -> None:
        super().__init__()
        self._change = Flattening.of(of, columns, separator=separator)

    @property
    def contract(self) -> Contract:
        """What comes out."""
        return self._change.contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        return apply_change(batches, self._change, "FlattenStructs").good


class ExplodeArrays(beam.PTransform):
    """Make a row of each element of an array: PCollection of batches to Outcome(good, dead_letters, ledger).

    The element stands in the array's column; `place`, if named, is a column of its 1-based place. A row
    whose array is null or empty stays with a null, or with `keep_empty=False` is counted as filtered. The
    ledger has the rows that came beyond one for one as added; nothing is refused.

    >>> carts = pa.schema([("id", pa.int64()), ("items", pa.list_(pa.string()))])
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     batches = pipeline | beam.Create([pa.record_batch({"id": [7], "items": [["a", "b"]]})])
    ...     exploded = batches | ExplodeArrays(carts, "items")
    ...     _ = exploded.good | beam.Map(lambda batch: print(batch.to_pydict()))
    {'id': [7, 7], 'items': ['a', 'b']}
    """

    def __init__(
        self, of: Contract | pa.Schema, column: str, *, place: str | None = None, keep_empty: bool = True
    ) -> None:
        super().__init__()
        self._change = Explosion.of(of, column, place=place, keep_empty=keep_empty)

    @property
    def contract(self) -> Contract:
        """What comes out: the element's type in the array's column, and no primary key."""
        return self._change.contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Outcome:
        return apply_change(batches, self._change, "ExplodeArrays")


class UnpivotBatches(beam.PTransform):
    """Turn columns into rows: PCollection of batches to Outcome(good, dead_letters, ledger).

    Each row becomes one for each of `columns`, with the column's name in `names` and its value, of the type
    that all have in common, in `values`. With `keep_nulls=False` rows without a value are counted as
    filtered. The ledger has the other new rows as added; nothing is refused.

    >>> wide = pa.schema([("id", pa.int64()), ("jan", pa.int64()), ("feb", pa.int64())])
    >>> UnpivotBatches(wide, ["jan", "feb"], names="month", values="sales").contract.names
    ('id', 'month', 'sales')
    """

    def __init__(
        self,
        of: Contract | pa.Schema,
        columns: Sequence[str],
        *,
        names: str = "name",
        values: str = "value",
        keep_nulls: bool = True,
        masks: Masks | None = None,
    ) -> None:
        super().__init__()
        self._change = Unpivoting.of(of, columns, names=names, values=values, keep_nulls=keep_nulls, masks=masks)

    @property
    def contract(self) -> Contract:
        """What comes out."""
        return self._change.contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Outcome:
        return apply_change(batches, self._change, "UnpivotBatches")
