"""Tables of any database that SQLAlchemy has a dialect for, written by portable statements in one transaction."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.committing import staged_batches
from beam_pipelines.sink.tables.databases.committing import refuse_doubled
from beam_pipelines.sink.tables.databases.fitting import castable
from beam_pipelines.sink.tables.databases.options import COMMITS, WriteOptions, check_options
from beam_pipelines.sink.tables.table import Column, Committed, StagedFile
from beam_pipelines.sql.names import Name, parse_path
from beam_pipelines.sql.sqlalchemy.connection import ConnectionOptions, Server
from beam_pipelines.uris import Uri, read_options

if TYPE_CHECKING:
    from sqlalchemy import Column as SqlColumn
    from sqlalchemy import Connection
    from sqlalchemy import Table as Found


@dataclasses.dataclass(frozen=True)
class SqlAlchemyWriteOptions(WriteOptions, ConnectionOptions):
    """Options of a `sqlalchemy://` URI that is written to."""


OPTIONS = SqlAlchemyWriteOptions


def table_of(uri: Uri, schema: pa.Schema) -> SqlAlchemyTable:
    """The table that a URI names. UsageError for options that contradict each other or the rows."""
    options = read_options(uri, SqlAlchemyWriteOptions)
    server, name = Server.of(uri, options)
    try:
        check_options(options, schema)
        commits = Name(name.schema, COMMITS) if options.commits is None else parse_path(options.commits)[1]
    except ValueError as wrong:
        raise uri.refuse(str(wrong)) from None
    return SqlAlchemyTable(uri.address, server, name, schema, options, commits)


@dataclasses.dataclass(frozen=True)
class SqlAlchemyTable:
    """A table and how rows of a schema are written to it: `sink.tables.table.Table`."""

    name: str
    server: Server
    table: Name
    schema: pa.Schema
    options: SqlAlchemyWriteOptions
    commits: Name

    def check(self) -> None:
        if self.server.call(self._found) is None:
            self._to_make()

    def columns(self) -> Sequence[Column]:
        found = self.server.call(self._found)
        columns = self._to_make().columns if found is None else found.columns
        return [self._column(field, columns[field.name]) for field in self.schema]

    def commit(self, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        return self.server.call(lambda connection: self._commit(connection, commit_id, files, at_step))

    def _commit(
        self, connection: Connection, commit_id: str, files: Sequence[StagedFile], at_step: AtStep
    ) -> Committed:
        import sqlalchemy as sa

        from beam_pipelines.sink.tables.databases import portable

        target = self._made(connection)
        commits = portable.commits_table(self.commits.table, self.commits.schema)
        self._create(connection, commits)
        mine = (commits.c.target == ".".join(self.table), commits.c.commit_id == commit_id)
        known = sa.select(commits.c.row_count).where(*mine)

        def before() -> Committed | None:
            found = connection.execute(known).scalar()
            connection.rollback()  # what it saw isn't what it has to see when it has waited
            return None if found is None else Committed(found, True, {"commit": commit_id})

        done = before()
        if done is not None:
            return done
        rows = sum(file.rows for file in files)
        staged = None
        if self.options.mode == "upsert":
            staged = portable.staged_table(target, self.schema.names, self._keys(target), self._digest(target))
            self._create(connection, staged)
        try:
            told = {"target": ".".join(self.table), "commit_id": commit_id, "row_count": rows}
            # First, so that another attempt of the same id waits for this one.
            connection.execute(sa.insert(commits).values(**told, committed_at=sa.func.current_timestamp()))
        except sa.exc.IntegrityError:
            connection.rollback()
            done = before()
            if done is None:
                raise
            return done
        if self.options.mode == "replace":
            connection.execute(sa.delete(target))
        self._load(connection, target if staged is None else staged, files)
        if staged is not None and rows:
            keys, version = self._keys(target), self.options.version
            twice = connection.execute(portable.doubled(staged, keys, version)).scalar()
            refuse_doubled(twice or 0, keys, version)
            for statement in portable.put(target, staged, keys, version):
                connection.execute(statement)
            connection.execute(sa.delete(staged))
        at_step("loaded")
        connection.commit()
        at_step("stored")
        return Committed(rows, False, {"commit": commit_id})

    def _load(self, connection: Connection, into: Found, files: Sequence[StagedFile]) -> None:
        statement, exact = into.insert(), False
        if self.server.kind == "sqlite":
            statement, exact = _exact_in_sqlite(into), True
        for batch in staged_batches(files):
            columns = [_loaded(batch.column(name), self._kind(into.c[name]), exact) for name in self.schema.names]
            connection.execute(statement, pa.record_batch(columns, self.schema.names).to_pylist())

    def _found(self, connection: Connection) -> Found | None:
        """The table as it is; None if it is still to be made. UsageError if it can't take the rows."""
        found = self.server.find(connection, self.table)
        if found is None:
            if not self.options.create:
                raise self.server.missing(connection, self.table, " Say ?create=true to have it made.")
            return None
        for field in self.schema:
            if field.name not in found.columns:
                near = did_you_mean(field.name, found.columns.keys())
                raise UsageError(f"{self.name}: the table has no column '{field.name}'.{near}")
            column = found.columns[field.name]
            if column.computed is not None:
                raise UsageError(f"{self.name}: the server makes column '{field.name}' itself: select the others")
            kind = self._kind(column) or pa.string()
            if not (castable(field.type, kind) or _is_flag(field.type, kind) or pa.types.is_nested(field.type)):
                raise UsageError(f"{self.name}: column '{field.name}' is {column.type}, which takes no {field.type}")
        others = [each for each in found.columns if each.name not in self.schema.names]
        lacking = [each.name for each in others if not each.nullable and not _filled(each)]
        if lacking:
            raise UsageError(
                f"{self.name}: the table needs a value of {', '.join(lacking)}, and the rows have no such column"
            )
        if self.options.mode == "upsert":
            self._keys(found)
            if others:
                raise UsageError(
                    f"{self.name}: ?mode=upsert puts whole rows in the place of others, and the rows have no column "
                    f"{', '.join(each.name for each in others)}: its values would be gone"
                )
        return found

    def _made(self, connection: Connection) -> Found:
        """The table, made first if it is to be and isn't there."""
        found = self._found(connection)
        if found is None:
            self._create(connection, self._to_make())
            found = self._found(connection)
            if found is None:
                raise self.server.missing(connection, self.table)
        return found

    def _to_make(self) -> Found:
        import sqlalchemy as sa

        from beam_pipelines.sql.sqlalchemy.types import column_type

        keys = self.options.key
        columns = []
        for field in self.schema:
            keyed = field.name in keys
            kind = column_type(field.name, field.type, self.server.kind, keyed=keyed)
            nullable = field.nullable and not keyed
            columns.append(sa.Column(field.name, kind, primary_key=keyed, nullable=nullable, autoincrement=False))
        return sa.Table(self.table.table, sa.MetaData(), *columns, schema=self.table.schema or None)

    def _create(self, connection: Connection, table: Found) -> None:
        """Make a table, in a transaction of its own, unless it is there or somebody else makes it at this moment."""
        from sqlalchemy import exc

        try:
            table.create(connection, checkfirst=True)
            connection.commit()
        except exc.DBAPIError:
            connection.rollback()
            if self.server.find(connection, Name(table.schema or "", table.name)) is None:
                raise
            connection.rollback()

    def _keys(self, found: Found) -> tuple[str, ...]:
        keys = self.options.key or tuple(found.primary_key.columns.keys())
        if not keys:
            raise UsageError(
                f"{self.name}: ?key: the table has no primary key: name the columns by which rows are found"
            )
        for key in keys:
            if key not in self.schema.names:
                raise UsageError(f"{self.name}: ?key: the rows have no column '{key}', which is part of the key")
        return keys

    def _digest(self, found: Found) -> str:
        """Of what a staged table is like, so that one of another shape has another name."""
        like = [
            ".".join(self.table),
            *(f"{name} {found.c[name].type}" for name in self.schema.names),
            *self._keys(found),
        ]
        return hashlib.sha256("\n".join(like).encode()).hexdigest()[:8]

    def _kind(self, column: SqlColumn[Any]) -> pa.DataType | None:
        from beam_pipelines.sql.sqlalchemy.types import arrow_type

        return arrow_type(column.type, self.server.kind)

    def _column(self, field: pa.Field, column: SqlColumn[Any]) -> Column:
        keyed = self.options.mode == "upsert" and field.name in (*self.options.key, self.options.version)
        required = keyed or not column.nullable
        if pa.types.is_nested(field.type):
            return Column(field.name, field.type, required, json=True)
        kind = self._kind(column)
        if kind is not None and _is_flag(field.type, kind):
            return Column(field.name, field.type, required)
        if kind is not None:
            return Column(field.name, kind, required, finite=True)
        length = getattr(column.type, "length", None)
        number = _is_number(field.type)
        made = field.type if number else pa.string()
        return Column(field.name, made, required, None if number else length, nul=number, finite=True)


def _filled(column: SqlColumn[Any]) -> bool:
    """Whether the database fills a column that isn't given."""
    return bool(
        column.server_default is not None
        or column.identity is not None
        or column.computed is not None
        or column is column.table.autoincrement_column
    )


def _exact_in_sqlite(into: Found) -> Any:
    """An insert that gives SQLite decimals as texts: of these it keeps what its floats can't hold."""
    import sqlalchemy as sa

    def exact(column: SqlColumn[Any]) -> Any:
        decimal = isinstance(column.type, sa.Numeric) and not isinstance(column.type, sa.Float)
        return sa.String() if decimal else column.type

    plain = sa.table(into.name, *(sa.column(each.name, exact(each)) for each in into.columns), schema=into.schema)
    return plain.insert()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_flag(rows: pa.DataType, table: pa.DataType) -> bool:
    """Whether true and false are 1 and 0 in the table, as in databases without a boolean type."""
    return bool(pa.types.is_boolean(rows) and pa.types.is_integer(table))


def _loaded(values: pa.Array, kind: pa.DataType | None, exact: bool) -> pa.Array:
    """Values as a driver takes them; decimals as texts if only these are `exact`."""
    if pa.types.is_nested(values.type) and not pa.types.is_dictionary(values.type):
        return pc.if_else(values.is_valid(), json_text(values), None)
    if kind is None:
        return values if _is_number(values.type) else values.cast(pa.string())
    if pa.types.is_timestamp(values.type) and pa.types.is_timestamp(kind):
        # Without a zone a time is UTC, either way.
        return values.cast(pa.timestamp("us", values.type.tz)).cast(kind)
    made = values.cast(kind)
    return made.cast(pa.string()) if exact and pa.types.is_decimal(kind) else made
