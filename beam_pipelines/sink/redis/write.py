"""Batches → Redis."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Literal

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import DeliverBatches, Written
from beam_pipelines.sink.records import RecordPlan, Records
from beam_pipelines.sink.redis.delivery import SCHEME, Connection, ConnectionOptions, Delivery
from beam_pipelines.sink.redis.entries import EntryPlan, check_entries, entries_of
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "WriteToRedis"

REFUSED = "redis.refused"
"""Rule of rows that can't be written: without a key, or of a key that holds something else."""


@dataclasses.dataclass(frozen=True)
class RedisWriteOptions(ConnectionOptions):
    """Options of a `redis://` URI that is written to."""

    key: tuple[str, ...] = option(
        "Columns of the key. One that is text is written as it is, another as JSON, several as a JSON array.",
        default=(),
    )
    prefix: str = option("What stands before each key.", default="")
    kind: Literal["hash", "json"] = option(
        "hash: a field for each column; json: a string, the object of the columns.", default="hash"
    )
    order: tuple[str, ...] = option(
        "Columns by which a row is newer than another of its key. Default, of panes: window_end and the pane's index.",
        default=(),
    )
    expire: float | None = option("Seconds after which a key that isn't written again is deleted.", default=None)


class WriteToRedis(beam.PTransform):
    """Keep the newest row of each key in Redis: PCollection[RecordBatch] → Written.

    Effectively once: rows are written at least once, and a key holds in the end the row that is greatest by `order`,
    in whatever order they come and however often a bundle is tried again; of rows that are equally new it is the same
    one each time. So a pane never overwrites one that came after it. A script on the server compares and writes at
    once. A bundle ends when the server has answered for all of its rows: whether it keeps them when it is killed is
    a matter of its `appendfsync`. With `expire`, a row that is older than one that was deleted is written again.

    `uri` is `redis://USER@HOST:PORT/DATABASE?OPTIONS`; `RedisWriteOptions` says what options there are. `schema` is
    that of the batches, if it is known. The order is kept under the key too, as `beam-pipelines-order`.

    Dead letters (`redis.refused`): rows whose key is null, and those whose key holds what wasn't written here. The
    bundle fails, and the runner tries it again, when the server can't be reached or has no memory for the time of
    `retries`; UsageError for credentials and rights that it refuses.

    Rows are counted as WRITTEN of `output`, also those older than what is there; panes as IN_PANES by their `__rows`.

    >>> write = WriteToRedis("redis://localhost/0?key=country&order=at")
    >>> WriteToRedis("redis://localhost/0?key=country", pa.schema({"country": pa.string()}))
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: ?order: these rows are no panes of windows, so say by which columns one is ...
    """

    def __init__(
        self,
        uri: str | Uri,
        schema: pa.Schema | None = None,
        *,
        output: str = ledger.ROWS,
        retries: Retries | None = None,
    ) -> None:
        super().__init__()
        uri = parse_uri(uri, [SCHEME]) if isinstance(uri, str) else uri
        options = read_options(uri, RedisWriteOptions)
        if options.expire is not None and not 0.001 <= options.expire < 10**9:
            raise UsageError(f"?expire: {options.expire} is not a number of seconds from 0.001 on")
        self._plan = EntryPlan(options.key, options.order, options.prefix, options.kind)
        if not options.key or schema is not None:
            check_entries(self._plan, schema or pa.schema([]))
        self._output = output
        self._open = partial(Delivery, Connection.of(uri, options), options.kind, options.expire, retries or Retries())

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Written:
        made = partial(_checked_entries, plan=self._plan)
        return batches | "Deliver" >> DeliverBatches(
            self._open, RecordPlan(), STAGE, REFUSED, self._output, records=made
        )


def _checked_entries(batch: pa.RecordBatch, records: RecordPlan, plan: EntryPlan) -> Records:
    check_entries(plan, batch.schema)
    return entries_of(batch, records, plan)
