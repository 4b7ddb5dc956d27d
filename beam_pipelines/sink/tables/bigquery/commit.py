"""One attempt to commit staged files to a BigQuery table, by a job whose id is the commit's.

Rows that can be added, or take the place of all, are loaded by that job itself: from the staged files if they are on
Google Cloud Storage, else from one file that is uploaded. Otherwise they are loaded into a table beside it, and the
job is the statement that puts them into the table. Either way the table has all rows of the commit or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.bigquery import failures
from beam_pipelines.bigquery.jobs import Once
from beam_pipelines.bigquery.place import SECONDS, Place
from beam_pipelines.bigquery.types import arrow_schema, kind_of
from beam_pipelines.errors import UsageError
from beam_pipelines.sink import storage
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.bigquery import statements
from beam_pipelines.sink.tables.bigquery.statements import Plan
from beam_pipelines.sink.tables.bigquery.streams import Stream
from beam_pipelines.sink.tables.committing import staged_batches
from beam_pipelines.sink.tables.table import Committed, StagedFile

if TYPE_CHECKING:
    from google.cloud import bigquery

    from beam_pipelines.sink.tables.bigquery.table import BigQueryTable

MAX_URIS = 10_000
"""Files that one load job takes (https://cloud.google.com/bigquery/quotas#load_jobs)."""

UPLOAD_SECONDS = 600
"""Of one request of an upload, which sends up to 100 MB."""

MAX_CHANGES = 20
"""Attempts to change columns while others do."""

STAGED_HOURS = 24
"""After which a table of rows on their way is gone, if the commit that made it didn't delete it."""


class Attempt:
    """What is needed for one attempt."""

    def __init__(self, sink: BigQueryTable, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> None:
        self._sink = sink
        self._place = sink.place
        self._commit_id = commit_id
        self._files = files
        self._at_step = at_step
        self._client = sink.place.client()

    def run(self) -> Committed:
        """Commit, or find that it is done."""
        table = self._open_or_create()
        rows = sum(file.rows for file in self._files)
        once = Once(self._place, self._client, self._commit_id, table.location)
        done = once.done()
        if self._sink.options.method == "storage_write":
            if done is None and not rows:
                return Committed(0, False, {})
            return self._by_stream(once, done, table)
        if done is not None:
            self._drop_staged(table)
            return Committed(rows, True, {"job": done.job_id})
        if not rows and self._sink.options.mode != "replace":
            return Committed(0, False, {})
        table = self._evolved(table)
        try:
            with contextlib.ExitStack() as stack:
                begin = self._beginning(table, rows, stack)
                self._at_step("loaded")
                job, before = once.do(begin)
        except UsageError:
            self._drop_staged(table)
            raise
        self._at_step("stored")
        self._drop_staged(table)
        return Committed(rows, before, {"job": job.job_id})

    def _by_stream(self, once: Once, done: Any | None, table: bigquery.Table) -> Committed:
        if done is None:
            table = self._evolved(table)
        columns = arrow_schema([field.to_api_repr() for field in table.schema])
        written = pa.schema([columns.field(field.name).remove_metadata() for field in self._sink.rows])
        stream = Stream(self._place, self._client, once, written, self._files)
        return stream.run(table.location, self._at_step) if done is None else stream.commit(done)

    def _beginning(self, table: bigquery.Table, rows: int, stack: contextlib.ExitStack) -> Callable[[str], Any]:
        """What begins the commit's job."""
        if not rows:
            return lambda job_id: self._query(statements.emptied(self._place.quoted), job_id, table.location)
        if not self._is_staged(table):
            is_replaced = self._sink.options.mode == "replace"
            return stack.enter_context(self._load(self._place, table, is_replaced))
        staged = self._stage(table)
        keys = self._sink.key(table) if self._sink.options.mode == "upsert" else ()
        columns = tuple(self._sink.rows.names)
        options = self._sink.options
        plan = Plan(self._place.quoted, staged.quoted, columns, options.mode, keys, options.version, self._json(table))
        if keys:
            self._refuse_doubled(plan, table.location)
        return lambda job_id: self._query(statements.put(plan), job_id, table.location)

    def _open_or_create(self) -> bigquery.Table:
        found = self._place.described_or_none(self._client) if self._sink.options.create else None
        if found is None:
            if self._sink.options.create:
                self._create(self._sink.new())
            found = self._place.described(self._client)
        return found

    def _create(self, table: bigquery.Table) -> None:
        self._place.call(lambda: self._client.create_table(table, exists_ok=True, retry=None, timeout=SECONDS))

    def _evolved(self, table: bigquery.Table) -> bigquery.Table:
        """The table, with the columns that rows need. Who else changes it meanwhile is not overwritten."""
        from google.api_core.exceptions import PreconditionFailed
        from google.cloud import bigquery

        if not self._sink.options.evolve:
            return table
        for _ in range(MAX_CHANGES):
            change = self._sink.change([field.to_api_repr() for field in table.schema])
            if change.patched:
                old = {field.name: field.field_type for field in table.schema}
                fields = [{**each, "type": old.get(each["name"], each["type"])} for each in change.fields]
                table.schema = [bigquery.SchemaField.from_api_repr(each) for each in fields]
                try:
                    self._place.call(
                        lambda changed=table: self._client.update_table(  # type: ignore[misc]
                            changed, ["schema"], retry=None, timeout=SECONDS
                        )
                    )
                except PreconditionFailed:
                    table = self._place.described(self._client)
                    continue
            for column, kind in change.widened.items():
                self._wait(self._query(statements.widened(self._place.quoted, column, kind), None, table.location))
            return self._place.described(self._client) if change.patched or change.widened else table
        raise UsageError(f"{self._place.name}: others change the table's columns all the time: ?evolve gave up")

    def _stage(self, table: bigquery.Table) -> Place:
        """Load rows into a table of the commit's own."""
        from google.cloud import bigquery

        staged = self._staged()
        names = self._sink.rows.names
        fields = [field.to_api_repr() for field in table.schema if field.name in names]
        texts = [{**each, "type": "STRING"} if kind_of(each) == "JSON" else each for each in fields]
        made = bigquery.Table(staged.path, [bigquery.SchemaField.from_api_repr(each) for each in texts])
        made.expires = datetime.now(timezone.utc) + timedelta(hours=STAGED_HOURS)
        self._create(made)
        with self._load(staged, made, True) as begin:
            self._wait(self._place.call(lambda: begin(None)))
        return staged

    def _staged(self) -> Place:
        told = hashlib.sha256(f"{self._place.path}\n{self._commit_id}".encode()).hexdigest()
        return self._place.beside(f"beam_pipelines_{told[:40]}")

    def _drop_staged(self, table: bigquery.Table) -> None:
        if self._is_staged(table):
            staged = self._staged().path
            self._place.call(lambda: self._client.delete_table(staged, not_found_ok=True, retry=None, timeout=SECONDS))

    def _is_staged(self, table: bigquery.Table) -> bool:
        """Whether a load can't do it alone: it takes no texts for JSON."""
        return self._sink.options.mode == "upsert" or bool(self._json(table))

    def _json(self, table: bigquery.Table) -> tuple[str, ...]:
        kinds = {field.name: kind_of(field.to_api_repr()) for field in table.schema}
        return tuple(name for name in self._sink.rows.names if kinds.get(name) == "JSON")

    @contextlib.contextmanager
    def _load(self, into: Place, table: bigquery.Table, is_replaced: bool) -> Iterator[Callable[[str | None], Any]]:
        """What begins a job that loads all files into a table; uploads are made ready."""
        from google.cloud import bigquery

        parquet = bigquery.ParquetOptions()
        parquet.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition="WRITE_TRUNCATE" if is_replaced else "WRITE_APPEND",
            create_disposition="CREATE_NEVER",
            schema=table.schema,
        )
        config.parquet_options = parquet
        if is_replaced:  # what isn't said of a table that is replaced is taken from it
            for setting in ("time_partitioning", "range_partitioning", "clustering_fields"):
                if getattr(table, setting) is not None:
                    setattr(config, setting, getattr(table, setting))
        told: dict[str, Any] = {"location": table.location, "job_config": config}
        paths = [file.path for file in self._files]
        if len(paths) <= MAX_URIS and all(path.startswith("gs://") and "*" not in path for path in paths):
            yield lambda job_id: self._client.load_table_from_uri(
                paths, into.path, job_id=job_id, retry=None, timeout=SECONDS, **told
            )
            return
        with self._one_file() as file:
            yield lambda job_id: self._client.load_table_from_file(
                file, into.path, rewind=True, job_id=job_id, num_retries=0, timeout=UPLOAD_SECONDS, **told
            )

    @contextlib.contextmanager
    def _one_file(self) -> Iterator[IO[bytes]]:
        """All rows in one file on this machine's disk."""
        if len(self._files) == 1 and storage.is_local(self._files[0].path):
            with Path(self._files[0].path).open("rb") as file:
                yield file
            return
        with tempfile.TemporaryFile() as file:
            with contextlib.ExitStack() as stack:
                writer = None
                for batch in staged_batches(self._files):
                    writer = writer or stack.enter_context(pq.ParquetWriter(file, batch.schema))
                    writer.write_batch(batch)
            yield file

    def _query(self, statement: str, job_id: str | None, location: str | None) -> Any:
        return self._client.query(
            statement, job_id=job_id, location=location, retry=None, job_retry=None, timeout=SECONDS
        )

    def _wait(self, job: Any) -> None:
        """Wait for a job that may be begun again, since it does the same. UsageError if it fails."""
        wait = 0.05
        while job.state != "DONE":
            time.sleep(wait)
            wait = min(2 * wait, 5)
            self._place.call(lambda: job.reload(retry=None, timeout=SECONDS))
        if job.error_result is not None:
            raise failures.job_error(self._place.name, job)

    def _refuse_doubled(self, plan: Plan, location: str | None) -> None:
        job = self._place.call(lambda: self._query(statements.doubled_keys(plan), None, location))
        self._wait(job)
        rows = self._place.call(lambda: list(job.result(retry=None, timeout=SECONDS)))
        doubled = rows[0]["doubled"]
        if not doubled:
            return
        keys = ", ".join(plan.keys)
        newer = f" and the same {plan.version}" if plan.version else ""
        hint = "" if plan.version else " Say ?version=COLUMN, or"
        raise UsageError(
            f"{self._place.name}: {doubled:,} times two rows have the same {keys}{newer}: which of them is to be "
            f"kept?{hint} {'D' if plan.version else 'd'}eduplicate them first. Nothing was written"
        )
