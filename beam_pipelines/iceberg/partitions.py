"""An Iceberg partition spec, applied to columns: which rows belong into which data file. Pure.

pyiceberg has its transforms for columns in an extra in Rust; here those of time are Arrow's kernels, and the others
are computed once for each different value.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import Transform

_EPOCH_MONTH, _EPOCH_YEAR = 12 * 1970, 1970
_NAME_BYTES = 200  # of a folder; file systems take 255


@dataclasses.dataclass(frozen=True)
class Cut:
    """Cuts batches by a spec, into (folder, rows); what is in a folder is one partition. Picklable."""

    spec: str
    schema: str
    """Both as the JSON of Iceberg's specification."""

    def __call__(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Cut a batch; rows keep their order."""
        yield from cut(batch, *self.read())

    def read(self) -> tuple[PartitionSpec, Schema]:
        """The spec and the schema as pyiceberg has them."""
        from pyiceberg.partitioning import PartitionSpec
        from pyiceberg.schema import Schema

        return PartitionSpec.model_validate_json(self.spec), Schema.model_validate_json(self.schema)


def cut(batch: pa.RecordBatch, spec: PartitionSpec, schema: Schema) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Cut a batch by a spec, into (folder, rows). The folder's name is for people: it is not read back."""
    if batch.num_rows == 0:
        return
    if spec.is_unpartitioned():
        yield "", batch
        return
    values = partition_columns(batch, spec, schema)
    keys = pa.RecordBatch.from_arrays(values, names=[str(number) for number in range(len(values))])
    rows = pa.Table.from_batches([keys]).append_column("row", pa.array(range(batch.num_rows), pa.int64()))
    groups = rows.group_by(keys.schema.names, use_threads=False).aggregate([("row", "list")])
    for number in range(groups.num_rows):
        record = [groups.column(name)[number].as_py() for name in keys.schema.names]
        wanted = groups.column("row_list")[number].values
        piece = batch if len(wanted) == batch.num_rows else batch.take(wanted)
        yield _folder(spec, record), piece


def partition_of(batch: pa.RecordBatch, spec: PartitionSpec, schema: Schema) -> list[Any]:
    """The partition of a batch's first row: a value for each of the spec's fields, as manifests have them."""
    return [values[0].as_py() for values in partition_columns(batch.slice(0, 1), spec, schema)]


def partition_columns(batch: pa.RecordBatch, spec: PartitionSpec, schema: Schema) -> list[pa.Array]:
    """For each of the spec's fields the values that rows have; dates and times as numbers since 1970."""
    columns = []
    for field in spec.fields:
        name = schema.find_column_name(field.source_id) or ""
        column = batch.column(name.split(".")[0])
        for child in name.split(".")[1:]:
            column = pc.struct_field(column, child)
        columns.append(_transformed(column, field.transform, schema.find_type(field.source_id)))
    return columns


def _transformed(column: pa.Array, transform: Transform[Any, Any], source: Any) -> pa.Array:
    told = str(transform)
    if told == "identity":
        return _as_number(column)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"))  # in UTC, whatever the column's zone is
    if told == "year":
        return pc.subtract(pc.year(column), _EPOCH_YEAR).cast(pa.int32())
    if told == "month":
        months = pc.add(pc.multiply(pc.year(column), 12), pc.subtract(pc.month(column), 1))
        return pc.subtract(months, _EPOCH_MONTH).cast(pa.int32())
    if told == "day":
        return pc.floor_temporal(column, unit="day").cast(pa.date32()).cast(pa.int32())
    if told == "hour":
        micros = pc.floor_temporal(column, unit="hour").cast(pa.int64())
        return pc.divide(micros, 3_600_000_000).cast(pa.int32())
    found = pc.dictionary_encode(column)
    compute = transform.transform(source)
    distinct = _as_number(found.dictionary) if told.startswith("bucket") else found.dictionary
    return pa.array([compute(value) for value in distinct.to_pylist()]).take(found.indices)


def _as_number(column: pa.Array) -> pa.Array:
    """Dates and times as what they are in manifests."""
    if pa.types.is_date32(column.type):
        return column.cast(pa.int32())
    if pa.types.is_timestamp(column.type) or pa.types.is_time64(column.type):
        return column.cast(pa.int64())
    return column


def _folder(spec: PartitionSpec, record: list[Any]) -> str:
    return "/".join(_name(field.name, value) for field, value in zip(spec.fields, record, strict=True))


def _name(field: str, value: Any) -> str:
    """One folder's name, different for different values: a null's has no `=`, a long one ends in a hash."""
    if value is None:
        return quote(field, safe="")
    text = f"{quote(field, safe='')}={quote(str(value), safe='')}"
    return text if len(text) <= _NAME_BYTES else f"{text[:100]}-{hashlib.sha256(text.encode()).hexdigest()}"


def spec_of(wanted: tuple[str, ...], schema: Schema, name: str) -> PartitionSpec:
    """Make a spec of terms such as `country`, `day(placed_at)`, `bucket(16, id)`, `truncate(2, zip)`.

    UsageError for a column that isn't there and a transform that isn't one, or not for its type.
    """
    from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
    from pyiceberg.transforms import parse_transform

    fields = []
    for number, term in enumerate(wanted):
        column, told = _term(term)
        if column not in {field.name for field in schema.fields}:
            raise UsageError(
                f"{name}: ?partition_by: '{column}' is not a column."
                + did_you_mean(column, (field.name for field in schema.fields))
            )
        source = schema.find_field(column)
        transform = parse_transform(told)
        if str(transform) != told or not transform.can_transform(source.field_type):
            raise UsageError(
                f"{name}: ?partition_by: '{term}' can't be: a {source.field_type} is partitioned by itself, year(), "
                "month(), day(), hour(), bucket(N, …) or truncate(N, …), as far as its type has them"
            )
        label = column if told == "identity" else f"{column}_{told.partition('[')[0]}"
        fields.append(PartitionField(source.field_id, PARTITION_FIELD_ID_START + number, transform, label))
    return PartitionSpec(*fields)


def _term(term: str) -> tuple[str, str]:
    """Column and transform, as Iceberg writes it.

    >>> _term("bucket(16, id)"), _term("day(placed_at)"), _term("country")
    (('id', 'bucket[16]'), ('placed_at', 'day'), ('country', 'identity'))
    """
    told, bracket, rest = term.partition("(")
    if not bracket or not rest.endswith(")"):
        return term, "identity"
    number, comma, column = rest[:-1].partition(",")
    return (column.strip(), f"{told.strip()}[{number.strip()}]") if comma else (number.strip(), told.strip())
