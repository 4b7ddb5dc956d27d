"""A BigQuery table that is written to: options, what has to fit, and how a commit is tried."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from beam_pipelines.bigquery.place import SECONDS, ConnectionOptions, Place
from beam_pipelines.bigquery.types import arrow_schema, arrow_type, fields_of, kind_of, longest_of
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import option
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.bigquery.evolution import Change, changes
from beam_pipelines.sink.tables.bigquery.layout import Cut
from beam_pipelines.sink.tables.columns import conflicts
from beam_pipelines.sink.tables.table import Column, Committed, Layout, StagedFile
from beam_pipelines.uris import Uri, read_options

if TYPE_CHECKING:
    from google.cloud import bigquery


@dataclasses.dataclass(frozen=True)
class BigQueryWriteOptions(ConnectionOptions):
    """Options of a `bigquery://` URI that is written to."""

    mode: Literal["append", "upsert", "replace"] = option(
        "What a commit does with the rows that are there.",
        default="append",
        meanings={
            "append": "adds rows",
            "upsert": "replaces rows of the same key, and adds the others",
            "replace": "replaces all rows",
        },
    )
    method: Literal["load", "storage_write"] = option(
        "How rows get there.",
        default="load",
        meanings={
            "load": "by load jobs, which cost nothing and are 1,500 a day for a table",
            "storage_write": "by the Storage Write API, which is as often as a stream has bundles; only for append",
        },
    )
    key: tuple[str, ...] = option(
        "Columns by which an upsert finds rows; primary key (not enforced) of a table that is made. Default: the "
        "contract's primary key, or the table's.",
        default=(),
    )
    version: str | None = option(
        "Column by which an upsert tells which of two rows is newer: an older one never takes a newer one's place.",
        default=None,
    )
    create: bool = option("Make the table if it isn't there.", default=False)
    partition_by: tuple[str, ...] = option(
        "Partition of a table that is made: a column of time, day(placed_at) (also hour, month, year), or range(id, "
        "FROM, TO, STEP). Columns that are no times cluster. Default: the contract's partition columns.",
        default=(),
    )
    cluster_by: tuple[str, ...] = option("Columns by which rows of a table that is made are clustered.", default=())
    evolve: bool = option(
        "Add columns that the table doesn't have, widen types, and let columns be null. Default: true if the contract "
        "evolves.",
        default=False,
    )


OPTIONS = BigQueryWriteOptions

_PERMISSIONS = ("bigquery.tables.get", "bigquery.tables.updateData")
_PERMISSION_TO_READ = "bigquery.tables.getData"


@dataclasses.dataclass(frozen=True)
class BigQueryTable:
    """A BigQuery table and how rows of a schema are written to it.

    Exactly once per commit id: a commit is one job, whose id is made of the commit's and which BigQuery takes once.
    """

    place: Place
    given: pa.Schema
    options: BigQueryWriteOptions
    cut: Cut

    def __hash__(self) -> int:
        return hash((self.place, self.options))

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def rows(self) -> pa.Schema:
        """The rows' columns, a map as the list that BigQuery has for it."""
        return pa.schema([field.with_type(_without_maps(field.type)) for field in self.given])

    def check(self) -> None:
        for name in (*self.options.key, *filter(None, [self.options.version])):
            if name not in self.rows.names:
                option_name = "key" if name in self.options.key else "version"
                raise UsageError(
                    f"{self.name}: ?{option_name}: '{name}' is no column.{did_you_mean(name, self.rows.names)}"
                )
        if self.options.method == "storage_write" and self.options.mode != "append":
            raise UsageError(
                f"{self.name}: ?method=storage_write adds rows, and ?mode={self.options.mode} does more: leave one out"
            )
        client = self.place.client()
        self._check_jobs(client)
        table = self._table(client)
        fields = self.fields(table)
        hint = "" if self.options.evolve else " Or say ?evolve=true"
        found = conflicts(self.rows, arrow_schema(fields), evolve_hint=hint)
        if found:
            raise UsageError("\n  ".join([f"{self.name}: the rows don't fit the table:", *found]))
        if self.options.mode == "upsert":
            self._check_keys(table, fields)
        elif self.options.version:
            raise UsageError(f"{self.name}: ?version is for nothing without ?mode=upsert")
        if table is not None:
            self._check_permissions(client)

    def columns(self) -> Sequence[Column]:
        table = self._table(self.place.client())
        needed = (*self.key(table), self.options.version) if self.options.mode == "upsert" else ()
        fields = {field["name"]: field for field in self.fields(table)}
        return [_column(fields[field.name], field.name in needed) for field in self.rows]

    def layout(self) -> Layout:
        """Files have BigQuery's types, so that they are loaded as they are."""
        columns = arrow_schema(self.fields(self._table(self.place.client())))
        return Layout(pa.schema([_in_files(field, columns.field(field.name)) for field in self.rows]))

    def commit(self, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        from beam_pipelines.sink.tables.bigquery.commit import Attempt

        return Attempt(self, commit_id, files, at_step).run()

    def key(self, table: bigquery.Table | None) -> tuple[str, ...]:
        """The columns by which an upsert finds rows."""
        if self.options.key or table is None or table.table_constraints is None:
            return self.options.key
        primary = table.table_constraints.primary_key
        return () if primary is None else tuple(primary.columns)

    def fields(self, table: bigquery.Table | None) -> list[dict[str, Any]]:
        """The columns, in BigQuery's JSON, that the table will have when rows are committed; nothing is changed."""
        if table is None:
            try:
                return fields_of(self.given, self.options.key)
            except ValueError as wrong:
                raise UsageError(f"{self.name}: {wrong}") from None
        fields = [field.to_api_repr() for field in table.schema]
        return self.change(fields).fields if self.options.evolve else fields

    def change(self, fields: Sequence[dict[str, Any]]) -> Change:
        """What has to be changed of columns so that rows fit."""
        try:
            return changes(self.given, fields, self.options.key)
        except ValueError as wrong:
            raise UsageError(f"{self.name}: ?evolve: {wrong}") from None

    def new(self) -> bigquery.Table:
        """The table that is made."""
        from google.cloud import bigquery

        keys = {"tableConstraints": {"primaryKey": {"columns": list(self.options.key)}}} if self.options.key else {}
        cluster = {"clustering": {"fields": list(self.cut.cluster)}} if self.cut.cluster else {}
        place = {"projectId": self.place.project, "datasetId": self.place.dataset, "tableId": self.place.table}
        columns = {"schema": {"fields": self.fields(None)}}
        return bigquery.Table.from_api_repr(
            {"tableReference": place, **columns, **keys, **cluster, **self.cut.partition}
        )

    def _table(self, client: bigquery.Client) -> bigquery.Table | None:
        if not self.options.create:
            return self.place.described(client)
        return self.place.described_or_none(client)

    def _check_keys(self, table: bigquery.Table | None, fields: Sequence[dict[str, Any]]) -> None:
        keys = self.key(table)
        if not keys:
            raise UsageError(f"{self.name}: ?mode=upsert needs ?key, since the table has no primary key")
        for key in keys:
            if key not in self.rows.names:
                raise UsageError(f"{self.name}: ?key: the rows have no column '{key}', which is part of the key")
            field = next(field for field in fields if field["name"] == key)
            if field.get("mode") == "REPEATED" or kind_of(field) in ("RECORD", "JSON", "GEOGRAPHY"):
                raise UsageError(f"{self.name}: ?key: '{key}' is {kind_of(field)}, by which BigQuery can't find rows")
        if self.options.version in keys:
            raise UsageError(f"{self.name}: ?version: '{self.options.version}' is part of the key")

    def _check_jobs(self, client: bigquery.Client) -> None:
        """UsageError if the project isn't there, or we may run no jobs in it; costs nothing."""
        from google.api_core.exceptions import NotFound
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(dry_run=True)

        def ask() -> None:
            client.query("SELECT 1", job_config=config, retry=None, job_retry=None, timeout=SECONDS)

        try:
            self.place.call(ask)
        except NotFound:
            raise UsageError(f"{self.name}: there is no project '{self.place.billed}'") from None

    def _check_permissions(self, client: bigquery.Client) -> None:
        needed = [*_PERMISSIONS, *([_PERMISSION_TO_READ] if self.options.mode == "upsert" else [])]

        def ask() -> dict[str, Any]:
            found: dict[str, Any] = client.test_iam_permissions(self.place.path, needed, retry=None, timeout=SECONDS)
            return found

        lacking = set(needed) - set(self.place.call(ask).get("permissions", ()))
        if lacking:
            raise UsageError(
                f"{self.name}: we lack {', '.join(sorted(lacking))}: grant bigquery.dataEditor on the table or its "
                "dataset"
            )


def _column(field: dict[str, Any], needed: bool) -> Column:
    kind = arrow_type(field)
    required = needed or field.get("mode") == "REQUIRED"
    inner = arrow_type(field, whole=True) if pa.types.is_nested(kind) else None
    is_json = kind_of(field) == "JSON" and not pa.types.is_nested(kind)
    return Column(field["name"], kind, required, longest_of(field), json=is_json, inner=inner, calendar=True)


def _in_files(given: pa.Field, column: pa.Field) -> pa.Field:
    """A column of the staged files. Decimals stay as short as they are, of which columns have 38 digits or 76."""
    decimals = pa.types.is_decimal(given.type) and pa.types.is_decimal(column.type)
    return column.remove_metadata().with_type(given.type if decimals else column.type)


def _without_maps(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_map(kind):
        return pa.list_(pa.struct([("key", kind.key_type), ("value", _without_maps(kind.item_type))]))
    if pa.types.is_list(kind):
        return pa.list_(_without_maps(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_maps(field.type)) for field in kind])
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def table_of(uri: Uri, schema: pa.Schema) -> BigQueryTable:
    """The table that a URI names, for rows of a schema."""
    options = read_options(uri, BigQueryWriteOptions)
    place = Place.of(uri, options)
    try:
        cut = Cut.of(options.partition_by, options.cluster_by, schema)
    except UsageError as wrong:
        raise UsageError(f"{place.name}: {wrong}") from None
    return BigQueryTable(place, schema, options, cut)
