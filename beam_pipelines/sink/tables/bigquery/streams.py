"""A commit by a write stream of the Storage Write API: rows in Arrow, at offsets, shown by one call.

BigQuery names the streams, so that nobody can find one again by the commit's id. Therefore a stream that has all rows
and is finished is written down under the id before it is committed: as the text of a job, of which BigQuery takes one
of an id. Who comes later, or second, commits the stream that is written down, which BigQuery does once.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from beam_pipelines.bigquery import failures
from beam_pipelines.bigquery.jobs import Once
from beam_pipelines.bigquery.literals import quoted_text
from beam_pipelines.bigquery.place import SECONDS, Place
from beam_pipelines.errors import UsageError
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.committing import staged_batches
from beam_pipelines.sink.tables.table import Committed, StagedFile

if TYPE_CHECKING:
    from google.cloud import bigquery
    from google.cloud.bigquery_storage_v1 import types

REQUEST_BYTES = 4 << 20
"""Of rows in one request, which has at most 10 MB (https://cloud.google.com/bigquery/quotas#write-api-limits)."""

APPEND_SECONDS = 3600
"""Of one connection; rows that are appended count, and the next one goes on after them."""

_OK, _INVALID, _EXISTS, _DENIED = 0, 3, 6, 7  # codes of gRPC
_WRITTEN_DOWN = re.compile(r"SELECT '([^']+)' AS write_stream")


class Stream:
    """One attempt to commit staged files by a stream."""

    def __init__(
        self, place: Place, client: bigquery.Client, once: Once, columns: pa.Schema, files: Sequence[StagedFile]
    ) -> None:
        from google.cloud.bigquery_storage_v1 import BigQueryWriteClient

        self._place = place
        self._client = client
        self._once = once
        self._columns = columns
        self._files = files
        self._storage = place.storage(BigQueryWriteClient)
        self._appended = 0
        self._error: BaseException | None = None

    def run(self, location: str | None, at_step: AtStep) -> Committed:
        """Fill a stream, write it down, and commit the one that is written down."""
        name = self._fill()
        statement = f"SELECT {quoted_text(name)} AS write_stream"
        at_step("loaded")
        job, _ = self._once.do(
            lambda job_id: self._client.query(
                statement, job_id=job_id, location=location, retry=None, job_retry=None, timeout=SECONDS
            )
        )
        done = self.commit(job)
        at_step("stored")
        return done

    def _fill(self) -> str:
        from google.cloud.bigquery_storage_v1 import types

        place = self._place
        parent = f"projects/{place.project}/datasets/{place.dataset}/tables/{place.table}"
        pending = types.WriteStream(type_=types.WriteStream.Type.PENDING)
        stream = place.call(
            lambda: (
                self._storage.create_write_stream(parent=parent, write_stream=pending, retry=None, timeout=SECONDS).name
            )
        )
        place.call(lambda: self._append(stream))
        finished = place.call(
            lambda: self._storage.finalize_write_stream(name=stream, retry=None, timeout=SECONDS).row_count
        )
        rows = sum(file.rows for file in self._files)
        if finished != rows:
            raise RuntimeError(f"{place.name}: a write stream has {finished:,} rows of {rows:,}; it isn't committed")
        return str(stream)

    def _append(self, stream: str) -> None:
        """Append all rows that aren't yet; raises what may pass, to be called again."""
        self._error = None
        ends: deque[int] = deque()  # of requests that aren't answered yet; answers come in their order
        try:
            answers = self._storage.append_rows(
                self._requests(stream, self._appended, ends),
                metadata=[("x-goog-request-params", f"write_stream={stream}")],
                retry=None,
                timeout=APPEND_SECONDS,
            )
            for answer in answers:
                self._take(answer)
                self._appended = ends.popleft()
        except Exception:
            if self._error is not None:  # of a staged file, of which gRPC only knows that something failed
                raise self._error from None
            raise
        if self._error is not None:
            raise self._error

    def _take(self, answer: types.AppendRowsResponse) -> None:
        code, message = answer.error.code, answer.error.message
        if code in (_OK, _EXISTS):  # it is there already if the answer to it was lost
            return
        if answer.row_errors:
            columns = sorted(
                {found[1] for each in answer.row_errors if (found := failures.COLUMN.search(each.message))}
            )
            where = f" ({', '.join(columns)})" if columns else ""
            raise UsageError(
                f"{self._place.name}: BigQuery refuses {len(answer.row_errors):,} rows{where}, whose values aren't "
                "shown here. Nothing was written"
            )
        if code in (_INVALID, _DENIED):
            raise UsageError(f"{self._place.name}: {failures.told('', message)}. Nothing was written")
        raise ConnectionError(f"{self._place.name}: a write stream answered {code}: {message[:200]}")

    def _requests(self, stream: str, start: int, ends: deque[int]) -> Iterator[types.AppendRowsRequest]:
        from google.cloud.bigquery_storage_v1 import types

        schema = self._columns.serialize().to_pybytes()
        offset = 0
        try:
            for rows in self._pieces():
                if offset >= start:
                    ends.append(offset + rows.num_rows)
                    yield types.AppendRowsRequest(
                        write_stream=stream,
                        offset=offset,
                        arrow_rows=types.AppendRowsRequest.ArrowData(
                            writer_schema=types.ArrowSchema(serialized_schema=schema),
                            rows=types.ArrowRecordBatch(serialized_record_batch=rows.serialize().to_pybytes()),
                        ),
                    )
                offset += rows.num_rows
        except BaseException as error:
            self._error = error
            raise

    def _pieces(self) -> Iterator[pa.RecordBatch]:
        """The rows in pieces that a request takes, with the table's types; the same whenever they are cut."""
        for batch in staged_batches(self._files):
            whole = batch.select(self._columns.names).cast(self._columns)
            rows = max(1, whole.num_rows * REQUEST_BYTES // max(1, whole.nbytes))
            for first in range(0, whole.num_rows, rows):
                yield whole.slice(first, rows)

    def commit(self, job: Any) -> Committed:
        """Show the rows of the stream that a job's text names, if they aren't shown already."""
        from google.cloud.bigquery_storage_v1 import types

        place = self._place
        found = _WRITTEN_DOWN.search(job.query or "")
        if found is None:
            raise UsageError(f"{place.name}: job {job.job_id} has the commit's id, and names no write stream")
        stream = found[1]
        asked = types.BatchCommitWriteStreamsRequest(
            parent=f"projects/{place.project}/datasets/{place.dataset}/tables/{place.table}", write_streams=[stream]
        )
        answer = place.call(
            lambda: self._storage.batch_commit_write_streams(request=asked, retry=None, timeout=SECONDS)
        )
        codes = {error.code for error in answer.stream_errors}
        known = types.StorageError.StorageErrorCode
        if codes - {known.STREAM_ALREADY_COMMITTED}:
            told = "; ".join(f"{known(error.code).name}: {error.error_message}" for error in answer.stream_errors)
            raise UsageError(
                f"{place.name}: the write stream of job {job.job_id} can't be committed: {told}. If BigQuery doesn't "
                "know it any more, look whether its rows are in the table, and run under another id if they aren't"
            )
        rows = sum(file.rows for file in self._files)
        return Committed(rows, bool(codes), {"stream": stream.rpartition("/")[2], "job": job.job_id})
