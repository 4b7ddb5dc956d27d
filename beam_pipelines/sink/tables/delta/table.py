"""A Delta table that is written to: options, what has to fit, and how a commit is tried."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from beam_pipelines.delta.place import Place, StorageOptions, may_pass
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.partitions import check_partition_columns
from beam_pipelines.sink.tables.columns import columns_of, conflicts
from beam_pipelines.sink.tables.table import Column, Committed, Layout, StagedFile
from beam_pipelines.uris import Uri, read_options

if TYPE_CHECKING:
    from deltalake import DeltaTable as Opened

_CHECKED = ("delta.constraints.", "delta.columnMapping.mode", "delta.generationExpression")
"""What a writer has to heed that doesn't only add files; whoever sets one writes with an engine that does."""


def _is_size(megabytes: int) -> None:
    if megabytes < 1:
        raise ValueError(f"{megabytes} is not a number of megabytes")


@dataclasses.dataclass(frozen=True)
class DeltaWriteOptions(StorageOptions):
    """Options of a `delta://` URI that is written to."""

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
        "Columns by which an upsert finds rows. Default: the contract's primary key.", default=()
    )
    create: bool = option("Make the table if it isn't there.", default=False)
    partition_by: tuple[str, ...] = option(
        "Partition columns of a table that is made. Default: the contract's.", default=()
    )
    evolve: bool = option(
        "Add columns that the table doesn't have. Default: true if the contract evolves.", default=False
    )
    target_mb: int = option("Size at which a data file is finished, in MB.", default=256, check=_is_size)


OPTIONS = DeltaWriteOptions


@dataclasses.dataclass(frozen=True)
class DeltaTable:
    """A Delta table and how rows of a schema are written to it.

    Exactly once per commit id: it is the application id of a transaction in the table's log, looked for before each
    attempt; of two attempts at the same moment the log takes one.
    """

    place: Place
    rows: pa.Schema
    options: DeltaWriteOptions

    @property
    def name(self) -> str:
        return self.place.name

    def check(self) -> None:
        for name in self.options.key:
            if name not in self.rows.names:
                raise UsageError(f"{self.name}: ?key: '{name}' is no column.{did_you_mean(name, self.rows.names)}")
        if self.options.mode == "upsert" and not self.options.key:
            raise UsageError(f"{self.name}: ?mode=upsert needs ?key")
        table = self._table()
        if table is not None:
            self._refuse_rules(table)
        schema, partition_by = self._target(table)
        try:
            check_partition_columns(schema, partition_by)
        except UsageError as wrong:
            raise UsageError(f"{self.name}: ?partition_by: {wrong}") from None
        hint = "" if self.options.evolve else " Or say ?evolve=true"
        found = conflicts(self.rows, schema, evolve_hint=hint)
        missing = [name for name in partition_by if name not in self.rows.names]
        found += [f"the table is partitioned by '{name}', which the rows don't have" for name in missing]
        if found:
            raise UsageError("\n  ".join([f"{self.name}: the rows don't fit the table:", *found]))

    def columns(self) -> Sequence[Column]:
        schema, _ = self._target(self._table())
        return columns_of(self.rows, schema, self.options.key if self.options.mode == "upsert" else ())

    def layout(self) -> Layout:
        schema, partition_by = self._target(self._table())
        fields = [schema.field(field.name) for field in self.rows]
        return Layout(pa.schema(fields), partition_by, file_bytes=self.options.target_mb << 20)

    def commit(self, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        from beam_pipelines.sink.tables.delta.commit import Attempt

        def once() -> Committed:
            with self.place.speaking():
                return Attempt(self, commit_id, files, at_step).run()

        return Retries().call(once, self.name, may_pass)

    def open_or_create(self) -> Opened:
        """The table, made if it isn't there and may be."""
        from deltalake import DeltaTable as Opened
        from deltalake import Schema

        schema, partition_by = self._target(None)
        if self.options.create and self.place.open_or_none() is None:
            Opened.create(
                self.place.location,
                Schema.from_arrow(schema),
                mode="ignore",
                partition_by=list(partition_by),
                storage_options=self.place.settings(),
            )
        return self.place.open()

    def evolve(self, table: Opened) -> Opened:
        """The table with the columns that rows have, in a version of its own, which older rows have no values of."""
        from deltalake import Field

        added = self._added(arrow_schema(table))
        if not added:
            return table
        table.alter.add_columns([Field.from_arrow(field) for field in added])
        return self.place.open()

    def _table(self) -> Opened | None:
        return self.place.open_or_none() if self.options.create else self.place.open()

    def _target(self, table: Opened | None) -> tuple[pa.Schema, tuple[str, ...]]:
        """Columns and partitions that the table will have when rows are committed; nothing is changed."""
        if table is None:
            needed = self.options.key
            made = [self._as_stored(field, field.nullable and field.name not in needed) for field in self.rows]
            return pa.schema(made), self.options.partition_by
        schema, partition_by = arrow_schema(table), tuple(table.metadata().partition_columns)
        return pa.schema([*schema, *self._added(schema)]), partition_by

    def _added(self, schema: pa.Schema) -> list[pa.Field]:
        """Columns that the table gets, if it evolves."""
        if not self.options.evolve:
            return []
        there = set(schema.names)
        return [self._as_stored(field, True) for field in self.rows if field.name not in there]

    def _as_stored(self, field: pa.Field, nullable: bool) -> pa.Field:
        """The column that is made for a field, with the type that Delta has for its values."""
        from deltalake import Schema

        try:
            schema = Schema.from_arrow(pa.schema([field.with_nullable(nullable).remove_metadata()]))
            made = pa.schema(schema).field(0)
        except Exception:  # the library has no other
            made = field.with_type(pa.null())
        if pa.types.is_null(made.type) or (pa.types.is_timestamp(made.type) and made.type.unit != "us"):
            raise UsageError(f"{self.name}: column '{field.name}' is {field.type}, a type that Delta doesn't have")
        return made

    def _refuse_rules(self, table: Opened) -> None:
        """Constraints and the like are an engine's to check: a file that is only named would go past them."""
        told = {**table.metadata().configuration}
        for field in table.schema().fields:
            told.update({name: str(value) for name, value in field.metadata.items()})
        found = sorted(name for name, value in told.items() if name.startswith(_CHECKED) and value != "none")
        if found:
            raise UsageError(
                f"{self.name}: the table has {', '.join(found)}, which has to be heeded row by row: write to it by an "
                "engine that does"
            )


def arrow_schema(table: Opened) -> pa.Schema:
    """The table's columns in Arrow."""
    schema = pa.schema(table.schema())
    return pa.schema([field.remove_metadata() for field in schema])


def table_of(uri: Uri, schema: pa.Schema) -> DeltaTable:
    """The table that a URI names, for rows of a schema."""
    options = read_options(uri, DeltaWriteOptions)
    return DeltaTable(Place.of(uri, options), schema, options)
