"""Tables of MySQL and MariaDB, written by statements of many rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.errors import UsageError
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.committing import staged_batches
from beam_pipelines.sink.tables.databases import committing, statements
from beam_pipelines.sink.tables.databases.fitting import castable, pattern_of
from beam_pipelines.sink.tables.databases.options import COMMITS, WriteOptions, check_options
from beam_pipelines.sink.tables.databases.statements import Dialect, Plan
from beam_pipelines.sink.tables.table import Column, Committed, StagedFile
from beam_pipelines.sql.mysql import failures
from beam_pipelines.sql.mysql.catalog import ColumnType, TableDescription, describe, find
from beam_pipelines.sql.mysql.connection import ConnectionOptions, Server, Session
from beam_pipelines.sql.mysql.types import KEY_LENGTH, check_columns, column_type
from beam_pipelines.sql.mysql.values import rows_of
from beam_pipelines.sql.names import Name, parse_path
from beam_pipelines.uris import Uri, read_options


def _parameter(_: int) -> str:
    return "%s"


DIALECT = Dialect(
    statements.on_duplicate_key,
    quote="`",
    parameter=_parameter,
    # 255 and 190 characters of four bytes are what a key may have.
    commit_types=("varchar(255)", "varchar(190)", "bigint", "timestamp"),
    counts=False,
)

STAGED = "beam_pipelines_staged"
LOAD_ROWS = 16_384

STATEMENT_BYTES = 1 << 20
"""Bytes of the rows of one statement, about: below the least `max_allowed_packet` that servers have (4 MiB)."""


@dataclasses.dataclass(frozen=True)
class MySqlWriteOptions(WriteOptions, ConnectionOptions):
    """Options of a `mysql://` or `mariadb://` URI that is written to."""


OPTIONS = MySqlWriteOptions


def table_of(uri: Uri, schema: pa.Schema) -> MySqlTable:
    """The table that a URI names. UsageError for options that contradict each other or the rows."""
    options = read_options(uri, MySqlWriteOptions)
    server, name = Server.of(uri, options)
    try:
        check_options(options, schema)
        if options.create:
            check_columns(schema.names, *name)
        commits = Name(name.schema, COMMITS) if options.commits is None else parse_path(options.commits)[1]
    except ValueError as wrong:
        raise uri.refuse(str(wrong)) from None
    return MySqlTable(uri.address, server, name, schema, options, commits)


@dataclasses.dataclass(frozen=True)
class MySqlTable:
    """A table and how rows of a schema are written to it: `sink.tables.table.Table`. It has to be of InnoDB."""

    name: str
    server: Server
    table: Name
    schema: pa.Schema
    options: MySqlWriteOptions
    commits: Name

    def check(self) -> None:
        if self.server.call(self._found) is None:
            self._definitions()

    def columns(self) -> Sequence[Column]:
        described = self.server.call(self._found)
        if described is None:
            return [self._column_to_make(field) for field in self.schema]
        return [self._column(field, kind) for field, kind in self._pairs(described)]

    def commit(self, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        return self.server.call(lambda session: self._commit(session, commit_id, files, at_step))

    def _commit(self, session: Session, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        described = self._made(session)
        commit = committing.Commit(commit_id, self.commits, ".".join(self.table))
        self._make_commits(session)
        before = committing.known(session, commit, DIALECT)
        if before is not None:
            return before
        session.commit()  # what it saw isn't what it has to see when it has waited
        keys = self._keys(described) if self.options.mode == "upsert" else ()
        staged = Name(self.table.schema, STAGED)
        columns = tuple(self.schema.names)
        plan = Plan(self.table, staged, columns, self.options.mode, keys, self.options.version)
        rows = sum(file.rows for file in files)

        def load() -> bool:
            direct = plan.mode != "upsert"
            into = self.table if direct else staged
            if not direct:
                names = DIALECT.columns(columns)
                session.do(f"DROP TEMPORARY TABLE IF EXISTS {DIALECT.name(staged)}")
                like = f"SELECT {names} FROM {DIALECT.name(self.table)} WHERE false"
                session.do(f"CREATE TEMPORARY TABLE {DIALECT.name(staged)} {like}")
            self._load(session, into, described, files)
            return direct

        try:
            return committing.write(session, commit, plan, DIALECT, rows, load if rows else None, at_step)
        except Exception as error:
            if failures.code_of(error) == failures.DUPLICATE:
                # Another attempt of this commit may have been under way, and have done it.
                session.rollback()
                before = committing.known(session, commit, DIALECT)
                if before is not None:
                    return before
            raise

    def _load(self, session: Session, into: Name, described: TableDescription, files: Sequence[StagedFile]) -> None:
        insert = f"INSERT INTO {DIALECT.name(into)} ({DIALECT.columns(self.schema.names)}) VALUES "
        kinds = self._pairs(described)
        for batch in staged_batches(files, LOAD_ROWS):
            made = [_loaded(batch.column(field.name), kind) for field, kind in kinds]
            for rows in _statements(rows_of(made)):
                session.do(f"{insert}{rows}")

    def _make_commits(self, session: Session) -> None:
        there = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
        if not session.ask(there, *self.commits):
            try:
                session.do(f"{statements.create_commits(self.commits, DIALECT)} ENGINE=InnoDB")
            except Exception as error:
                if failures.code_of(error) != failures.EXISTS:
                    raise

    def _made(self, session: Session) -> TableDescription:
        """The table, made first if it is to be and isn't there."""
        described = self._found(session)
        if described is None:
            made = f"CREATE TABLE IF NOT EXISTS {DIALECT.name(self.table)} ({self._definitions()})"
            # Binary, so that no two different texts are one key.
            session.do(f"{made} ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            described = self._described(describe(session, self.table, self.server))
        return described

    def _definitions(self) -> str:
        """The columns of a table that is to be made. UsageError for what has no type there."""
        keys = self.options.key
        made = [
            f"{DIALECT.column(field.name)} {column_type(field.name, field.type, keyed=field.name in keys)}"
            f"{'' if field.nullable and field.name not in keys else ' NOT NULL'}"
            for field in self.schema
        ]
        return ", ".join([*made, *([f"PRIMARY KEY ({DIALECT.columns(keys)})"] if keys else [])])

    def _found(self, session: Session) -> TableDescription | None:
        """The table as it is; None if it is still to be made."""
        if self.options.create and find(session, self.table) is None:
            return None
        return self._described(describe(session, self.table, self.server, " Say ?create=true to have it made."))

    def _described(self, described: TableDescription) -> TableDescription:
        """The table. UsageError if it can't take the rows."""
        for field, kind in self._pairs(described):
            if kind.generated:
                raise UsageError(f"{self.name}: the server makes column '{field.name}' itself: select the others")
            nested = kind.kind in ("json", "longtext") and pa.types.is_nested(field.type)
            boolean = kind.boolean and pa.types.is_boolean(field.type)
            if not (nested or boolean or (kind.arrow is not None and castable(field.type, kind.arrow))):
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
        return described

    def _pairs(self, described: TableDescription) -> list[tuple[pa.Field, ColumnType]]:
        return [(field, described.column(field.name, "the rows' columns", self.server)) for field in self.schema]

    def _keys(self, described: TableDescription) -> tuple[str, ...]:
        """The columns by which rows are found. UsageError unless they are the table's only unique key."""
        keys = self.options.key or (described.keys[0] if described.has_primary_key else ())
        if not keys:
            raise UsageError(f"{self.name}: ?key: the table has no primary key: name the columns of a unique key")
        if any(key not in self.schema.names for key in keys):
            raise UsageError(f"{self.name}: ?key: the rows have not all of {', '.join(keys)}, which are the key")
        if [set(each) for each in described.keys] != [set(keys)]:
            raise UsageError(
                f"{self.name}: ?key: MySQL finds rows by every unique key there is, so {', '.join(keys)} has to be the "
                "table's one and only: append, or take the others away"
            )
        return keys

    def _column(self, field: pa.Field, kind: ColumnType) -> Column:
        keyed = self.options.mode == "upsert" and field.name in (*self.options.key, self.options.version)
        required = keyed or kind.required
        if pa.types.is_nested(field.type) or kind.arrow is None:
            return Column(field.name, field.type, required, json=True)
        if kind.boolean and pa.types.is_boolean(field.type):
            return Column(field.name, field.type, required)
        longest = kind.longest if kind.kind in ("char", "varchar", "binary", "varbinary") else None
        pattern = pattern_of(kind.kind, kind.labels)
        return Column(field.name, kind.arrow, required, longest, pattern=pattern, json=kind.kind == "json", finite=True)

    def _column_to_make(self, field: pa.Field) -> Column:
        keyed = field.name in (*self.options.key, self.options.version)
        plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_nested(plain):
            return Column(field.name, field.type, keyed or not field.nullable, json=True)
        if pa.types.is_timestamp(plain):
            plain = pa.timestamp("us", plain.tz)
        longest = KEY_LENGTH if field.name in self.options.key and _has_length(plain) else None
        return Column(field.name, plain, keyed or not field.nullable, longest, finite=True)


def _loaded(values: pa.Array, kind: ColumnType) -> pa.Array:
    if pa.types.is_nested(values.type):
        return pc.if_else(values.is_valid(), json_text(values), None)
    if kind.arrow is None or values.type == kind.arrow or (kind.boolean and pa.types.is_boolean(values.type)):
        return values
    if pa.types.is_timestamp(values.type) and pa.types.is_timestamp(kind.arrow):
        return values.cast(pa.timestamp(kind.arrow.unit, values.type.tz))
    return values.cast(kind.arrow)


def _has_length(kind: pa.DataType) -> bool:
    kinds = pa.types
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_binary(kind))


def _statements(rows: pa.Array) -> Iterator[str]:
    """Rows of about as many bytes as one statement may have, joined."""
    ends = np.cumsum(pc.binary_length(rows).to_numpy(zero_copy_only=False))
    start = 0
    while start < len(rows):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + STATEMENT_BYTES, "right")))
        piece = pa.ListArray.from_arrays(pa.array([start, stop], pa.int32()), rows)
        yield pc.binary_join(piece, ",")[0].as_py()
        start = stop
