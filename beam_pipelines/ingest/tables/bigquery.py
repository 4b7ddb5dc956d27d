"""A BigQuery table, or what a query finds, that is read: one state of it, in Arrow; a part for each read stream."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from beam_pipelines.bigquery import failures
from beam_pipelines.bigquery.literals import literal, text_of
from beam_pipelines.bigquery.place import SECONDS, ConnectionOptions, Place
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.ingest.tables.conditions import parse_condition
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, read_options, read_secret

if TYPE_CHECKING:
    from google.cloud import bigquery
    from google.cloud.bigquery_storage_v1 import types

MAX_PARTS = 1_000
"""Streams that a session has at most."""

READ_JOBS = "beam_pipelines_read_"
"""How ids of jobs begin whose query is read."""


def _time(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a time such as 2024-05-01T12:00:00Z") from None


@dataclasses.dataclass(frozen=True)
class BigQueryReadOptions(ConnectionOptions):
    """Options of a `bigquery://` URI that is read."""

    query: str | None = option(
        "Read what this query finds: SQL, or file:PATH of it. The URI names a project alone then.", default=None
    )
    parts: int | None = option("In how many parts the table is read at most. Default: BigQuery's choice.", default=None)
    where: str | None = option("Condition of the rows that are read, in SQL, without subqueries.", default=None)
    as_of: str | None = option(
        "Read what the table was at this time, UTC if it names no zone; BigQuery keeps seven days.",
        default=None,
        metavar="TIME",
        check=_time,
    )
    watermark: str | None = option(
        "Column that grows with each change, such as updated_at: only rows after ?after are read.", default=None
    )
    after: str | None = option(
        "The watermark that was read up to before. Default: rows are read from the first on.", default=None
    )
    until: str | None = option(
        "The watermark up to which rows are read, itself included. Default: the greatest when reading starts.",
        default=None,
    )


OPTIONS = BigQueryReadOptions


def table_of(uri: Uri, columns: tuple[str, ...] | None) -> BigQueryTable:
    """The table that a URI names. UsageError for options that contradict each other."""
    options = read_options(uri, BigQueryReadOptions)
    place = Place.of(uri, options) if options.query is None else Place.of_project(uri, options)
    if options.query is not None:
        given = [
            name for name in ("where", "as_of", "watermark", "after", "until") if getattr(options, name) is not None
        ]
        if given:
            raise UsageError(f"{place.name}: ?{given[0]} is the query's to say: write it there")
    if options.watermark is None and (options.after or options.until):
        raise UsageError(f"{place.name}: ?after and ?until are for nothing without ?watermark=COLUMN")
    if options.parts is not None and not 1 <= options.parts <= MAX_PARTS:
        raise UsageError(f"{place.name}: ?parts: {options.parts} is not allowed: 1 to {MAX_PARTS:,}")
    try:
        condition = None if options.where is None else parse_condition(options.where, "bigquery")
    except ValueError as wrong:
        raise UsageError(f"{place.name}: ?where: {wrong}") from None
    return BigQueryTable(place, options, columns, condition)


@dataclasses.dataclass(frozen=True)
class BigQueryTable:
    """A table of BigQuery and how it is read: `ingest.tables.table.Table`.

    A part is JSON: `stream`, by which BigQuery gives the same rows in the same order for six hours; and `until`, the
    last watermark.
    """

    place: Place
    options: BigQueryReadOptions
    wanted: tuple[str, ...] | None
    condition: str | None

    @property
    def name(self) -> str:
        return self.place.name

    def check(self) -> None:
        client = self.place.client()
        if self.options.query is not None:
            self._query(client, dry_run=True)
            return
        table = self._described(client)
        self._session(table, self.options.until, streams=1)

    def parts(self) -> Sequence[str]:
        client = self.place.client()
        until = self.options.until
        if self.options.query is not None:
            table = self._found(client)
        else:
            table = self._described(client)
            if self.options.watermark is not None and until is None:
                until = self._greatest(client, table)
                if until is None:
                    return []
        session = self._session(table, until, streams=self.options.parts or 0)
        shared = {} if until is None else {"until": until}
        return [json.dumps({"stream": each.name, **shared}, separators=(",", ":")) for each in session.streams]

    def read(self, part: str) -> Iterator[pa.RecordBatch]:
        from google.api_core.exceptions import FailedPrecondition, NotFound
        from google.cloud.bigquery_storage_v1 import BigQueryReadClient

        stream = json.loads(part)["stream"]
        schema = None
        try:
            with failures.speaking(self.name):
                # The client goes on where it was when a connection is cut.
                for answer in self.place.storage(BigQueryReadClient).read_rows(stream, timeout=SECONDS * 60):
                    if answer.arrow_schema.serialized_schema:
                        schema = pa.ipc.read_schema(pa.py_buffer(answer.arrow_schema.serialized_schema))
                    if schema is None:
                        raise ValueError(f"{self.name}: rows came without their schema")
                    rows = pa.ipc.read_record_batch(
                        pa.py_buffer(answer.arrow_record_batch.serialized_record_batch), schema
                    )
                    if rows.num_rows:
                        yield pa.RecordBatch.from_arrays(rows.columns, schema=_plain(rows.schema))
        except (NotFound, FailedPrecondition):
            raise UsageError(
                f"{self.name}: BigQuery doesn't know the read stream any more, which lasts six hours: run again, with "
                "more workers"
            ) from None

    def _described(self, client: bigquery.Client) -> bigquery.Table:
        table = self.place.described(client)
        if table.table_type not in (None, "TABLE", "SNAPSHOT", "CLONE"):
            raise UsageError(
                f"{self.name}: is a {table.table_type.lower().replace('_', ' ')}, which can't be read as it is stored: "
                f"write {self.place.scheme_of_project}?query=SELECT * FROM {self.place.quoted}"
            )
        return table

    def _session(self, table: bigquery.Table, until: str | None, *, streams: int) -> types.ReadSession:
        from google.api_core.exceptions import NotFound
        from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types

        asked = types.ReadSession(
            table=f"projects/{table.project}/datasets/{table.dataset_id}/tables/{table.table_id}",
            data_format=types.DataFormat.ARROW,
            read_options=types.ReadSession.TableReadOptions(
                selected_fields=self._columns(table), row_restriction=self._restriction(table, until)
            ),
        )
        if self.options.as_of is not None:
            asked.table_modifiers = types.ReadSession.TableModifiers(snapshot_time=_utc(self.options.as_of))
        client = self.place.storage(BigQueryReadClient)

        def create() -> types.ReadSession:
            return client.create_read_session(
                parent=f"projects/{self.place.billed}",
                read_session=asked,
                max_stream_count=streams,
                retry=None,
                timeout=SECONDS,
            )

        try:
            return self.place.call(create)
        except NotFound as missing:
            raise UsageError(f"{self.name}: {failures.told('', missing.message or '')}") from None

    def _columns(self, table: bigquery.Table) -> list[str]:
        if self.wanted is None:
            return []
        names = [field.name for field in table.schema]
        chosen = [name for name in names if name in self.wanted]
        if not chosen:
            raise UsageError(
                f"{self.name}: has none of the columns {', '.join(self.wanted)}. There is: {', '.join(names)}."
            )
        return chosen

    def _restriction(self, table: bigquery.Table, until: str | None) -> str:
        conditions = [f"({self.condition})"] if self.condition else []
        if self.options.watermark is not None:
            self._watermark(table)
            for option_name, sign, text in (("after", ">", self.options.after), ("until", "<=", until)):
                if text is not None:
                    value = self._literal(table, option_name, text)
                    conditions.append(f"`{self.options.watermark}` {sign} {value}")
        return " AND ".join(conditions)

    def _literal(self, table: bigquery.Table, option_name: str, text: str) -> str:
        try:
            return literal(text, self._watermark(table))
        except ValueError as wrong:
            raise UsageError(f"{self.name}: ?{option_name}: {wrong}") from None

    def _watermark(self, table: bigquery.Table) -> dict[str, Any]:
        name = str(self.options.watermark)
        fields: dict[str, dict[str, Any]] = {field.name: field.to_api_repr() for field in table.schema}
        if name not in fields:
            raise UsageError(f"{self.name}: ?watermark: there is no column '{name}'.{did_you_mean(name, fields)}")
        return fields[name]

    def _greatest(self, client: bigquery.Client, table: bigquery.Table) -> str | None:
        """The greatest watermark, which costs reading the column."""
        from google.cloud import bigquery

        name = self._watermark(table)["name"]
        past, parameters = "", []
        if self.options.as_of is not None:
            past = " FOR SYSTEM_TIME AS OF @as_of"
            parameters = [bigquery.ScalarQueryParameter("as_of", "TIMESTAMP", _utc(self.options.as_of))]
        statement = f"SELECT MAX(`{name}`) AS greatest FROM {self.place.quoted}{past}"
        config = bigquery.QueryJobConfig(query_parameters=parameters)

        def ask() -> Any:
            job = client.query(statement, job_config=config, retry=None, job_retry=None, timeout=SECONDS)
            return next(iter(job.result(retry=None, timeout=SECONDS * 10)))["greatest"]

        greatest = self.place.call(ask)
        return None if greatest is None else text_of(greatest)

    def _found(self, client: bigquery.Client) -> bigquery.Table:
        """The table that holds what the query finds: BigQuery keeps it for a day."""
        job = self._query(client)
        wait = 0.05
        while job.state != "DONE":
            time.sleep(wait)
            wait = min(2 * wait, 5)
            self.place.call(lambda: job.reload(retry=None, timeout=SECONDS))
        if job.error_result is not None:
            error = job.error_result
            raise UsageError(f"{self.name}: ?query: {failures.told(error.get('reason', ''), error.get('message', ''))}")
        return self.place.call(lambda: client.get_table(job.destination, retry=None, timeout=SECONDS))

    def _query(self, client: bigquery.Client, *, dry_run: bool = False) -> Any:
        """Begin the query; where an answer is lost it is begun again, and the first is read by nobody."""
        from google.api_core.exceptions import NotFound
        from google.cloud import bigquery

        statement = str(self.options.query)
        if statement.startswith("file:"):
            statement = read_secret(statement, f"{self.name}: ?query")
        config = bigquery.QueryJobConfig(dry_run=dry_run)

        def ask() -> Any:
            return client.query(
                statement, job_id_prefix=READ_JOBS, job_config=config, retry=None, job_retry=None, timeout=SECONDS
            )

        try:
            return self.place.call(ask)
        except NotFound as missing:
            raise UsageError(f"{self.name}: ?query: {failures.told('', missing.message or '')}") from None


def _utc(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _plain(schema: pa.Schema) -> pa.Schema:
    """Columns without what BigQuery says of them beside their types."""
    return pa.schema([field.remove_metadata() for field in schema])
