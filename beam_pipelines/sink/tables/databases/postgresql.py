"""PostgreSQL's tables, written by COPY in Arrow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.committing import staged_batches
from beam_pipelines.sink.tables.databases import committing, statements
from beam_pipelines.sink.tables.databases.fitting import castable, pattern_of
from beam_pipelines.sink.tables.databases.options import COMMITS, WriteOptions, check_options
from beam_pipelines.sink.tables.databases.statements import Dialect, Plan
from beam_pipelines.sink.tables.table import Column, Committed, StagedFile
from beam_pipelines.sql.names import Name, parse_path, quoted
from beam_pipelines.sql.postgresql import failures
from beam_pipelines.sql.postgresql.catalog import (
    ColumnType,
    TableDescription,
    check_columns,
    check_name,
    describe,
    missing,
    shown,
)
from beam_pipelines.sql.postgresql.connection import ConnectionOptions, Server, Session
from beam_pipelines.sql.postgresql.types import column_type
from beam_pipelines.uris import Uri, read_options

DIALECT = Dialect(
    statements.on_conflict,
    lock="LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
    commit_types=("text", "text", "bigint", "timestamptz"),
)

STAGED = Name("pg_temp", "beam_pipelines_staged")
"""Rows on their way: a table of the session's own, which goes with the transaction."""

LOAD_ROWS = 65_536
"""Rows that are loaded together: one call of the driver, some MiB."""

_DIRECT = frozenset(
    ("int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "bytea", "date", "time", "timestamp")
) | {"timestamptz", "numeric"}
"""Types whose binary form the driver writes: a table of such is copied into without a detour."""


@dataclasses.dataclass(frozen=True)
class PostgresWriteOptions(WriteOptions, ConnectionOptions):
    """Options of a `postgresql://` URI that is written to."""

    lock_timeout: int = option("Seconds to wait for a lock that another session holds.", default=30)


OPTIONS = PostgresWriteOptions


def table_of(uri: Uri, schema: pa.Schema) -> PostgresTable:
    """The table that a `postgresql://` URI names. UsageError for options that contradict each other or the rows."""
    options = read_options(uri, PostgresWriteOptions)
    server, name = Server.of(uri, options)
    try:
        check_options(options, schema)
        check_columns(schema.names)
        for part in filter(None, name):
            check_name(part)
        commits = None if options.commits is None else parse_path(options.commits)[1]
    except ValueError as wrong:
        raise uri.refuse(str(wrong)) from None
    return PostgresTable(uri.address, server, name, schema, options, commits)


@dataclasses.dataclass(frozen=True)
class PostgresTable:
    """A table of PostgreSQL and how rows of a schema are written to it: `sink.tables.table.Table`."""

    name: str
    server: Server
    table: Name
    schema: pa.Schema
    options: PostgresWriteOptions
    commits: Name | None

    def check(self) -> None:
        self.server.call(self._check)

    def columns(self) -> Sequence[Column]:
        return [self._column(field, kind) for field, kind in self._pairs(self.server.call(self._described))]

    def commit(self, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        return self.server.call(lambda session: self._commit(session, commit_id, files, at_step))

    def _commit(self, session: Session, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        session.ask("SELECT set_config('lock_timeout', $1, false)", f"{self.options.lock_timeout}s")
        described = self._made(session)
        commit = committing.Commit(commit_id, self._commits(described), described.name.quoted())
        self._make_commits(session, commit.commits)
        before = committing.known(session, commit, DIALECT)
        if before is not None:
            return before
        plan = self._plan(described)
        rows = sum(file.rows for file in files)
        loading = _Loading(session, described, plan, self._pairs(described), files)
        try:
            return committing.write(session, commit, plan, DIALECT, rows, loading if rows else None, at_step)
        except Exception as error:
            loading.raise_its_own()
            if failures.code_of(error) == "23505" and commit.commits.table in str(error):
                # Another attempt of this commit was under way, and has done it.
                session.connection.rollback()
                before = committing.known(session, commit, DIALECT)
                if before is not None:
                    return before
            raise

    def _described(self, session: Session) -> TableDescription | None:
        """The table as it is; None if it is still to be made. UsageError if it isn't there and isn't to be."""
        described = describe(session, self.table)
        if described is None and not self.options.create:
            raise missing(session, self.table, self.server, " Say ?create=true to have it made.")
        return described

    def _pairs(self, described: TableDescription | None) -> list[tuple[pa.Field, ColumnType | None]]:
        """Each of the rows' columns with the table's, None while the table is still to be made."""
        if described is None:
            return [(field, None) for field in self.schema]
        return [(field, described.column(field.name, "the rows' columns", self.server)) for field in self.schema]

    def _column(self, field: pa.Field, kind: ColumnType | None) -> Column:
        keyed = field.name in self._keys_asked() or field.name == self.options.version
        if kind is None:
            nested = pa.types.is_nested(field.type)
            made = field.type if nested else _made_of(field.type)
            return Column(field.name, made, keyed or not field.nullable, json=nested, nul=nested)
        required = keyed or kind.required
        if kind.kind in ("json", "jsonb"):
            return Column(field.name, field.type, required, json=True)
        if kind.arrow is not None:
            return Column(field.name, kind.arrow, required, kind.longest, nul=not _is_text(kind.arrow))
        number = kind.kind == "numeric" and not _is_text(field.type)
        made = field.type if number else pa.string()
        pattern = None if number else pattern_of(kind.kind, kind.labels)
        return Column(field.name, made, required, pattern=pattern, nul=number)

    def _keys_asked(self) -> tuple[str, ...]:
        return self.options.key if self.options.mode == "upsert" or self.options.create else ()

    def _plan(self, described: TableDescription) -> Plan:
        casts = {field.name: kind.text for field, kind in self._pairs(described) if kind and not _is_direct(kind)}
        keys = self._keys(described) if self.options.mode == "upsert" else ()
        columns = tuple(self.schema.names)
        return Plan(described.name, STAGED, columns, self.options.mode, keys, self.options.version, casts)

    def _keys(self, described: TableDescription) -> tuple[str, ...]:
        """The columns by which rows are found. UsageError unless a unique index has them."""
        keys = self.options.key
        if not keys:
            if not described.has_primary_key:
                raise UsageError(f"{self.name}: ?key: the table has no primary key: name the columns of a unique index")
            keys = described.keys[0]
        for key in keys:
            if key not in self.schema.names:
                raise UsageError(f"{self.name}: ?key: the rows have no column '{key}', which is part of the key")
        if set(keys) not in [set(each) for each in described.keys]:
            raise UsageError(
                f"{self.name}: ?key: {shown(described.name)} has no unique index on {', '.join(keys)}, by which "
                "PostgreSQL finds rows: make one (CREATE UNIQUE INDEX …), without conditions and expressions"
            )
        return keys

    def _commits(self, described: TableDescription) -> Name:
        return self.commits or Name(described.name.schema, COMMITS)

    def _made(self, session: Session) -> TableDescription:
        """The table, made first if it is to be and isn't there."""
        described = self._described(session)
        if described is None:
            definitions = [
                f"{quoted(field.name)} {column_type(field.name, field.type)}{'' if field.nullable else ' NOT NULL'}"
                for field in self.schema
            ]
            keys = self._keys_asked()
            if keys:
                definitions.append(f"PRIMARY KEY ({DIALECT.columns(keys)})")
            self._create(session, f"CREATE TABLE {self.table.quoted()} ({', '.join(definitions)})")
            described = describe(session, self.table)
            if described is None:
                raise missing(session, self.table, self.server)
        self._check_table(described)
        return described

    def _make_commits(self, session: Session, commits: Name) -> None:
        if not session.ask("SELECT 1 WHERE to_regclass($1) IS NOT NULL", commits.quoted()):
            self._create(session, statements.create_commits(commits, DIALECT))

    def _create(self, session: Session, statement: str) -> None:
        """Make a table, in a transaction of its own, unless somebody else makes it at this moment."""
        try:
            session.do(statement)
            session.commit()
        except Exception as error:
            if failures.code_of(error) not in ("42P07", "23505"):  # of two who make it at once one finds either
                raise
            session.connection.rollback()

    def _check(self, session: Session) -> None:
        described = self._described(session)
        if described is None:
            for field in self.schema:
                column_type(field.name, field.type)
            self._check_rights(session, None)
            return
        self._check_table(described)
        self._check_rights(session, described)

    def _check_table(self, described: TableDescription) -> None:
        """UsageError for columns that can't take the rows'."""
        for field, kind in self._pairs(described):
            if kind is None:
                continue
            if kind.generated:
                raise UsageError(f"{self.name}: the server makes column '{field.name}' itself: select the others")
            if not self._fits(field, kind):
                raise UsageError(f"{self.name}: column '{field.name}' is {kind.text}, which takes no {field.type}")
        given = set(self.schema.names)
        lacking = [
            each.name for each in described.columns if each.required and not each.filled and each.name not in given
        ]
        if lacking:
            raise UsageError(
                f"{self.name}: the table needs a value of {', '.join(lacking)}, and the rows have no such column"
            )
        if self.options.mode == "upsert":
            self._keys(described)

    def _fits(self, field: pa.Field, kind: ColumnType) -> bool:
        if kind.kind in ("json", "jsonb"):
            return pa.types.is_nested(field.type) or _is_text(field.type)
        if kind.arrow is not None:
            return castable(field.type, kind.arrow)
        return castable(field.type, pa.string()) and (kind.kind == "numeric" or _is_text(field.type))

    def _check_rights(self, session: Session, described: TableDescription | None) -> None:
        """UsageError for what we may not do there."""
        needed = {"append": ["INSERT"], "upsert": ["INSERT", "SELECT", "UPDATE"], "replace": ["INSERT", "DELETE"]}
        asked: list[tuple[str, str, str]] = []
        if described is not None:
            schema = described.name.schema
            asked += [("table", described.name.quoted(), right) for right in needed[self.options.mode]]
        else:
            schema = self.table.schema or str(session.ask("SELECT current_schema()")[0][0])
            asked.append(("schema", schema, "CREATE"))
        commits = self.commits or Name(schema, COMMITS)
        if session.ask("SELECT 1 WHERE to_regclass($1) IS NOT NULL", commits.quoted()):
            asked += [("table", commits.quoted(), right) for right in ("INSERT", "SELECT")]
        else:
            asked.append(("schema", commits.schema or schema, "CREATE"))
        for what, name, right in asked:
            if not session.ask(f"SELECT has_{what}_privilege($1, $2)", name, right)[0][0]:
                raise UsageError(
                    f"{self.name}: {self.server.who} has no right to {right} in {what} {name}: GRANT it"
                    + (", or name another table by ?commits" if name == commits.quoted() or what == "schema" else "")
                )


class _Loading:
    """Puts staged files' rows into the table itself, or beside it."""

    def __init__(
        self,
        session: Session,
        described: TableDescription,
        plan: Plan,
        pairs: Sequence[tuple[pa.Field, ColumnType | None]],
        files: Sequence[StagedFile],
    ) -> None:
        self._session = session
        self._described = described
        self._files = files
        self._kinds = [(field, kind) for field, kind in pairs if kind is not None]
        self._direct = plan.mode != "upsert" and not plan.casts
        self._schema = pa.schema([(field.name, _loaded_type(field, kind)) for field, kind in self._kinds])
        self._error: BaseException | None = None

    def __call__(self) -> bool:
        self._error = None
        rows = pa.RecordBatchReader.from_batches(self._schema, self._rows())
        if self._direct:
            name = self._described.name
            self._session.cursor.adbc_ingest(name.table, rows, mode="append", db_schema_name=name.schema)
        else:
            self._session.do(f"DROP TABLE IF EXISTS {STAGED.quoted()}")
            self._session.cursor.adbc_ingest(STAGED.table, rows, mode="create", temporary=True)
        return self._direct

    def raise_its_own(self) -> None:
        """Raise what went wrong while files were read, of which the driver only knows that something did."""
        if self._error is not None:
            raise self._error

    def _rows(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in staged_batches(self._files, LOAD_ROWS):
                columns = [
                    _loaded(batch.column(field.name), loaded.type)
                    for (field, _), loaded in zip(self._kinds, self._schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=self._schema)
        except BaseException as error:
            self._error = error
            raise


def _is_direct(kind: ColumnType) -> bool:
    return kind.kind in _DIRECT and not kind.domain and (kind.kind != "numeric" or kind.arrow is not None)


def _loaded_type(field: pa.Field, kind: ColumnType) -> pa.DataType:
    """What the driver is given of a column: the table's own type, or a text that the server casts."""
    if kind.arrow is not None:
        return kind.arrow
    plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    number = pa.types.is_integer(plain) or pa.types.is_floating(plain) or pa.types.is_decimal(plain)
    return plain if kind.kind == "numeric" and number and not pa.types.is_uint64(plain) else pa.string()


def _loaded(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if values.type == kind:
        return values
    if pa.types.is_nested(values.type) and pa.types.is_string(kind):
        return pc.if_else(values.is_valid(), json_text(values), None)
    return values.cast(kind)


def _made_of(kind: pa.DataType) -> pa.DataType:
    """The Arrow type of a column that is made for another: the same, or the next that PostgreSQL has."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_large_string(plain):
        return pa.string()
    if pa.types.is_timestamp(plain):
        return pa.timestamp("us", plain.tz)
    if pa.types.is_time(plain):
        return pa.time64("us")
    return plain


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
