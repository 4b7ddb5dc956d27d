"""Tables of Amazon Redshift, written by COPY from Parquet in S3.

Redshift doesn't keep unique keys, so attempts of one commit take turns by a lock of the table of commits. None of this
has met a Redshift: its statements are tested on PostgreSQL, all but COPY.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import option
from beam_pipelines.sink import storage
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.committing import staged_batches
from beam_pipelines.sink.tables.databases import committing, statements
from beam_pipelines.sink.tables.databases.fitting import castable
from beam_pipelines.sink.tables.databases.options import COMMITS, WriteOptions, check_options
from beam_pipelines.sink.tables.databases.statements import Dialect, Plan
from beam_pipelines.sink.tables.table import Column, Committed, StagedFile
from beam_pipelines.sql.names import Name, literal, parse_path
from beam_pipelines.sql.postgresql.connection import ConnectionOptions, Server, Session
from beam_pipelines.sql.redshift.catalog import MAX_COLUMNS, MAX_NAME_BYTES, ColumnType, describe
from beam_pipelines.uris import Uri, read_options

DIALECT = Dialect(
    statements.by_deleting,
    lock="LOCK TABLE {}",
    commit_types=("varchar(300)", "varchar(300)", "bigint", "timestamp"),
    counts=False,
    unique=False,
)

STAGED = Name("", "beam_pipelines_staged")
"""Rows on their way: a temporary table of the session."""

LOAD_ROWS = 262_144
"""Rows of one Parquet file, so that Redshift's slices load several at once."""

_ROLE = re.compile(r"default|arn:[A-Za-z0-9:/_+=,.@-]+")


def _stage(text: str) -> None:
    if not re.fullmatch(r"s3://[A-Za-z0-9.-]+(/.*)?", text):
        raise ValueError("is no place in S3, such as s3://bucket/folder")


def _role(text: str) -> None:
    if not _ROLE.fullmatch(text):
        raise ValueError("is no role, such as arn:aws:iam::123456789012:role/redshift, or default")


@dataclasses.dataclass(frozen=True)
class RedshiftWriteOptions(WriteOptions, ConnectionOptions):
    """Options of a `redshift://` URI that is written to."""

    stage: str = option(
        "Folder in S3, in the cluster's region, through which rows go: s3://bucket/folder.",
        metavar="S3_FOLDER",
        check=_stage,
    )
    iam_role: str = option("Role by which the cluster reads the folder.", default="default", check=_role)


OPTIONS = RedshiftWriteOptions


def table_of(uri: Uri, schema: pa.Schema) -> RedshiftTable:
    """The table that a URI names. UsageError for options that contradict each other or the rows."""
    options = read_options(uri, RedshiftWriteOptions)
    server, name = Server.of(uri, options)
    try:
        check_options(options, schema)
        if options.create:
            raise UsageError("?create: make the table yourself: how it is distributed and sorted is yours to say")
        if options.mode == "upsert" and not options.key:
            raise UsageError("?mode=upsert needs ?key=COLUMNS: Redshift's own keys are no promise")
        if len(schema) > MAX_COLUMNS:
            raise UsageError(f"the rows have {len(schema):,} columns, and a table has at most {MAX_COLUMNS:,}")
        for each in (*name, *schema.names):
            if len(each.encode()) > MAX_NAME_BYTES:
                raise UsageError(f"'{each}' is longer than the {MAX_NAME_BYTES} bytes that a name may have")
        commits = None if options.commits is None else parse_path(options.commits)[1]
    except ValueError as wrong:
        raise uri.refuse(str(wrong)) from None
    return RedshiftTable(uri.address, server, name, schema, options, commits)


def copy_parquet(session: Session, staged: Name, folder: str, role: str) -> None:
    """Load the Parquet files of a folder: columns are taken in their order."""
    session.do(copy_statement(staged, folder, role))


def copy_statement(staged: Name, folder: str, role: str) -> str:
    """The statement that loads a folder.

    >>> copy_statement(Name("", "rows"), "s3://bucket/run-1/", "default")
    'COPY "rows" FROM \\'s3://bucket/run-1/\\' IAM_ROLE default FORMAT AS PARQUET'
    """
    told = role if role == "default" else literal(role)
    return f"COPY {DIALECT.name(staged)} FROM {literal(folder)} IAM_ROLE {told} FORMAT AS PARQUET"


@dataclasses.dataclass(frozen=True)
class RedshiftTable:
    """A table and how rows of a schema are written to it: `sink.tables.table.Table`."""

    name: str
    server: Server
    table: Name
    schema: pa.Schema
    options: RedshiftWriteOptions
    commits: Name | None

    def check(self) -> None:
        self.server.call(self._described)

    def columns(self) -> Sequence[Column]:
        _, kinds = self.server.call(self._described)
        return [self._column(field, kind) for field, kind in zip(self.schema, kinds, strict=True)]

    def commit(self, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        folder = f"{self.options.stage.rstrip('/')}/beam_pipelines-{secrets.token_hex(8)}"
        try:
            return self.server.call(lambda session: self._commit(session, commit_id, files, at_step, folder))
        finally:
            storage.delete_below(folder)

    def _commit(
        self, session: Session, commit_id: str, files: Sequence[StagedFile], at_step: AtStep, folder: str
    ) -> Committed:
        target, kinds = self._described(session)
        commits = self.commits or Name(target.schema, COMMITS)
        commit = committing.Commit(commit_id, commits, target.quoted())
        session.do(statements.create_commits(commits, DIALECT).replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
        session.commit()
        before = committing.known(session, commit, DIALECT)
        session.commit()
        if before is not None:
            return before
        # COPY knows no times with a zone in Parquet: they go as UTC without one, which the session's zone is.
        zoned = {kind.name: kind.text for kind in kinds if kind.kind == "timestamp with time zone"}
        columns = tuple(kind.name for kind in kinds)
        plan = Plan(target, STAGED, columns, self.options.mode, self.options.key, self.options.version, zoned)
        rows = sum(file.rows for file in files)
        if rows:
            self._upload(files, kinds, folder)

        def load() -> bool:
            made = ", ".join(
                f"{DIALECT.column(kind.name)} {'timestamp' if kind.name in zoned else kind.text}" for kind in kinds
            )
            session.do(f"DROP TABLE IF EXISTS {DIALECT.name(STAGED)}")
            session.do(f"CREATE TEMPORARY TABLE {DIALECT.name(STAGED)} ({made})")
            copy_parquet(session, STAGED, f"{folder}/", self.options.iam_role)
            return False

        return committing.write(session, commit, plan, DIALECT, rows, load if rows else None, at_step)

    def _upload(self, files: Sequence[StagedFile], kinds: Sequence[ColumnType], folder: str) -> None:
        """The rows as Parquet with the table's own types, a file for each few row groups."""
        storage.delete_below(folder)  # of an attempt before
        schema = pa.schema([(kind.name, _plain(kind)) for kind in kinds])
        for number, batch in enumerate(staged_batches(files, LOAD_ROWS)):
            columns = [
                batch.column(field.name).cast(kind.arrow).cast(field.type)
                for field, kind in zip(schema, kinds, strict=True)
            ]
            with storage.create(f"{folder}/{number:06}.parquet") as stored:
                # Without Arrow's schema and dictionaries' pages of its own: what Redshift reads is plain Parquet.
                pq.write_table(pa.table(columns, schema=schema), stored, store_schema=False, version="1.0")

    def _described(self, session: Session) -> tuple[Name, list[ColumnType]]:
        """The table, and its columns in the rows' order. UsageError if it can't take the rows."""
        target, columns = describe(session, self.table, self.server)
        known = {each.name: each for each in columns}
        for field in self.schema:
            kind = known.get(field.name)
            if kind is None:
                near = did_you_mean(field.name, list(known))
                raise UsageError(f"{self.name}: the table has no column '{field.name}'.{near}")
            if kind.arrow is None or not castable(field.type, kind.arrow):
                raise UsageError(f"{self.name}: column '{field.name}' is {kind.text}, which takes no {field.type}")
        others = [each for each in columns if each.name not in self.schema.names]
        lacking = [each.name for each in others if each.required and not each.filled]
        if lacking:
            raise UsageError(
                f"{self.name}: the table needs a value of {', '.join(lacking)}, and the rows have no such column"
            )
        if others and self.options.mode == "upsert":
            raise UsageError(
                f"{self.name}: ?mode=upsert puts whole rows in the place of others, and the rows have no column "
                f"{', '.join(each.name for each in others)}: its values would be gone"
            )
        return target, [known[name] for name in self.schema.names]

    def _column(self, field: pa.Field, kind: ColumnType) -> Column:
        assert kind.arrow is not None
        keyed = field.name in (*self.options.key, self.options.version)
        text = pa.types.is_string(kind.arrow)
        return Column(
            field.name, kind.arrow, keyed or kind.required, longest_bytes=kind.longest if text else None, nul=not text
        )


def _plain(kind: ColumnType) -> pa.DataType:
    """What is in the Parquet files of a column."""
    return pa.timestamp("us") if pa.types.is_timestamp(kind.arrow) else kind.arrow
