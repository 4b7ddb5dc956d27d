"""An Iceberg table that is written to: options, what has to fit, and how a commit is tried."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.iceberg.catalog import CatalogOptions, Place, may_pass
from beam_pipelines.iceberg.partitions import Cut, spec_of
from beam_pipelines.iceberg.types import arrow_schema, evolved, new_schema
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.columns import columns_of, conflicts
from beam_pipelines.sink.tables.iceberg.files import SPEC
from beam_pipelines.sink.tables.table import Column, Committed, Layout, StagedFile
from beam_pipelines.uris import Uri, read_options

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction


def _is_size(megabytes: int) -> None:
    if megabytes < 1:
        raise ValueError(f"{megabytes} is not a number of megabytes")


@dataclasses.dataclass(frozen=True)
class IcebergWriteOptions(CatalogOptions):
    """Options of an `iceberg://` URI that is written to."""

    mode: Literal["append", "upsert", "overwrite"] = option(
        "What a commit does with the rows that are there.",
        default="append",
        meanings={
            "append": "adds rows",
            "upsert": "replaces rows of the same key, and adds the others",
            "overwrite": "replaces the partitions that the rows are in; of a table without partitions, all",
        },
    )
    key: tuple[str, ...] = option(
        "Columns by which an upsert finds rows; identifier fields of a table that is made. Default: the contract's "
        "primary key, or the table's identifier fields.",
        default=(),
    )
    create: bool = option("Make the table if it isn't there.", default=False)
    partition_by: tuple[str, ...] = option(
        "Partitions of a table that is made: country, day(placed_at), bucket(16, id), truncate(2, zip). Default: the "
        "contract's partition columns.",
        default=(),
    )
    evolve: bool = option(
        "Add columns that the table doesn't have, and widen types. Default: true if the contract evolves.",
        default=False,
    )
    branch: str = option("Branch that is written to.", default="main")
    target_mb: int = option("Size at which a data file is finished, in MB.", default=256, check=_is_size)


OPTIONS = IcebergWriteOptions


@dataclasses.dataclass(frozen=True)
class IcebergTable:
    """An Iceberg table and how rows of a schema are written to it.

    Exactly once per commit id: it is in the snapshot's summary, and looked for among the branch's ancestors before
    each attempt to commit.
    """

    place: Place
    rows: pa.Schema
    options: IcebergWriteOptions

    @property
    def name(self) -> str:
        return self.place.name

    def check(self) -> None:
        mode, options = self.options.mode, self.options
        for name in options.key:
            if name not in self.rows.names:
                raise UsageError(f"{self.name}: ?key: '{name}' is no column.{did_you_mean(name, self.rows.names)}")
        table = self._table()
        schema, _ = self._target(table)
        hint = "" if options.evolve else " Or say ?evolve=true"
        found = conflicts(self.rows, arrow_schema(schema), evolve_hint=hint)
        if found:
            raise UsageError("\n  ".join([f"{self.name}: the rows don't fit the table:", *found]))
        if mode == "upsert" and not self.key(schema):
            raise UsageError(f"{self.name}: ?mode=upsert needs ?key, since the table has no identifier fields")
        if table is not None and options.branch != "main" and options.branch not in table.refs():
            raise UsageError(f"{self.name}: there is no branch.{did_you_mean(options.branch, table.refs())}")

    def columns(self) -> Sequence[Column]:
        schema, _ = self._target(self._table())
        needed = self.key(schema) if self.options.mode == "upsert" else ()
        return columns_of(self.rows, arrow_schema(schema), needed)

    def layout(self) -> Layout:
        schema, spec = self._target(self._table())
        columns = arrow_schema(schema)
        fields = [columns.field(field.name) for field in self.rows]
        cut = None if spec.is_unpartitioned() else Cut(spec.model_dump_json(), schema.model_dump_json())
        staged = pa.schema(fields, {SPEC: str(spec.spec_id).encode()})
        return Layout(staged, cut=cut, file_bytes=self.options.target_mb << 20)

    def commit(self, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        from beam_pipelines.sink.tables.iceberg.commit import Attempt

        def once() -> Committed:
            with self.place.speaking():
                return Attempt(self, commit_id, files, at_step).run()

        return Retries().call(once, self.name, may_pass)

    def key(self, schema: Schema) -> tuple[str, ...]:
        """The columns by which an upsert finds rows."""
        return self.options.key or tuple(sorted(schema.identifier_field_names()))

    def open_or_create(self) -> Table:
        """The table, made if it isn't there and may be."""
        from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError

        if self.options.create and not self.place.exists():
            schema, spec = self._target(None)
            catalog = self.place.load_catalog()
            try:
                if not catalog.namespace_exists(self.place.table[:-1]):
                    catalog.create_namespace(self.place.table[:-1])
            except NamespaceAlreadyExistsError:
                pass
            try:
                return catalog.create_table(self.place.table, schema, partition_spec=spec)
            except TableAlreadyExistsError:
                pass
        return self.place.open()

    def _table(self) -> Table | None:
        if self.options.create and not self.place.exists():
            return None
        return self.place.open()

    def _target(self, table: Table | None) -> tuple[Schema, PartitionSpec]:
        """Schema and spec that the table will have when rows are committed; nothing is changed."""
        with self.place.speaking():
            if table is None:
                schema = new_schema(self.rows, self.options.key)
                return schema, spec_of(self.options.partition_by, schema, self.name)
            if not self.options.evolve:
                return table.schema(), table.spec()
            transaction = table.transaction()
            self.evolve(transaction)
            return transaction.table_metadata.schema(), table.spec()

    def evolve(self, transaction: Transaction) -> None:
        """Give a transaction the columns that the table lacks, which may be null, and types that take the rows'."""
        schema = transaction.table_metadata.schema()
        there, key = arrow_schema(schema, with_ids=False), schema.identifier_field_names()
        wanted, names = [], set(there.names)
        for field in self.rows:
            if field.name in names:
                kind = evolved(field.type, there.field(field.name).type)
                wanted.append(pa.field(field.name, kind, field.nullable and field.name not in key))
            else:
                wanted.append(field.with_nullable(True))
        with transaction.update_schema() as update:
            update.union_by_name(pa.schema(wanted))


def table_of(uri: Uri, schema: pa.Schema) -> IcebergTable:
    """The table that a URI names, for rows of a schema."""
    options = read_options(uri, IcebergWriteOptions)
    return IcebergTable(Place.of(uri, options), schema, options)
