"""Batches → a Kafka topic."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD
from beam_pipelines.dead_letters import count_by_rule, failure, failures_column, letters_of
from beam_pipelines.kafka.connection import SCHEME, Connection, ConnectionOptions, topic_of
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sink.kafka.delivery import Delivery
from beam_pipelines.sink.kafka.records import RecordPlan, check_plan, records_of
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "WriteToKafka"

REFUSED = "kafka.refused"
"""Rule of rows that the brokers will never take, such as ones too long for the topic."""

HELD_BYTES = 32 << 20
"""Bytes of batches that wait for their delivery; a bundle with more waits for it in between."""


@dataclasses.dataclass(frozen=True)
class KafkaWriteOptions(ConnectionOptions):
    """Options of a `kafka://` URI that is written to."""

    value: Literal["json", "raw"] = option(
        "json: a row's columns as an object; raw: the payload as it was read, with its key and headers.",
        default="json",
    )
    key: tuple[str, ...] = option(
        "Columns of the key. One that is text is written as it is, another as JSON, several as a JSON array.",
        default=(),
    )
    id: tuple[str, ...] = option(
        "Columns whose hash is a record's id. Default: where the row was read, else the key with the pane's window.",
        default=(),
    )
    time: str | None = option("Column of a record's time. Default: when it is written.", default=None)
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = option("How records travel.", default="zstd")


class KafkaWritten(NamedTuple):
    """What WriteToKafka returns: refused rows in `dead_letters.SCHEMA`, and entries that account for all rows."""

    dead_letters: beam.PCollection[pa.RecordBatch]
    ledger: beam.PCollection[LedgerEntry]


class WriteToKafka(beam.PTransform):
    """Write each row as a record of a topic: PCollection[RecordBatch] → KafkaWritten.

    At least once, with an idempotent producer (acks of all in-sync replicas) and a deterministic id header
    (`beam-pipelines-id`) on each record, by which readers deduplicate: a bundle that is tried again writes its
    records again, under the same ids. A bundle ends only when the brokers have all of its records.

    `uri` is `kafka://USER@HOST:PORT,…/TOPIC?OPTIONS`; `KafkaWriteOptions` says what options there are. `schema` is
    that of the batches, if options name columns of it. The topic has to be there.

    Dead letters (`kafka.refused`): rows that the topic will never take, such as ones longer than its
    `max.message.bytes`. The bundle fails, and the runner tries it again, when the brokers can't be reached for the
    time of `retries`; UsageError for an unknown topic, access that isn't given, and credentials that are refused.

    Rows are counted as WRITTEN of `output`; panes of an aggregation as IN_PANES by their `__rows`.

    >>> write = WriteToKafka("kafka://localhost:9092/sales?key=country", pa.schema({"country": pa.string()}))
    >>> WriteToKafka("kafka://localhost:9092/sales?key=contry", pa.schema({"country": pa.string()}))
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: ?key: there is no column 'contry' to write. Did you mean 'country'?
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
        options = read_options(uri, KafkaWriteOptions)
        plan = RecordPlan(options.value, options.key, options.id, options.time)
        if schema is not None:
            check_plan(plan, schema)
        self._write = _Write(
            Connection.of(uri, options), topic_of(uri), options.compression, plan, output, retries or Retries()
        )

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> KafkaWritten:
        written = outcome.apply(batches, self._write, "Write")
        return KafkaWritten(written.dead_letters, written.ledger)


class _Held(NamedTuple):
    """A batch under way, and where what comes of it belongs."""

    batch: pa.RecordBatch
    timestamp: Any
    window: Any


class _Write(beam.DoFn):
    def __init__(
        self,
        connection: Connection,
        topic: str,
        compression: str,
        plan: RecordPlan,
        output: str,
        retries: Retries,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._compression = compression
        self._plan = plan
        self._output = output
        self._retries = retries
        self._delivery: Delivery | None = None

    def start_bundle(self) -> None:
        self._held: list[_Held] = []
        self._held_bytes = 0

    def process(
        self, batch: pa.RecordBatch, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        if self._delivery is None:
            check_plan(self._plan, batch.schema)
            self._delivery = Delivery(self._connection, self._topic, self._compression, self._retries)
        self._held.append(_Held(batch, timestamp, window))
        self._held_bytes += batch.nbytes
        self._delivery.send(records_of(batch, self._plan))
        if self._held_bytes >= HELD_BYTES:
            yield from self.finish_bundle()
            self.start_bundle()

    def finish_bundle(self) -> Iterator[beam.pvalue.TaggedOutput]:
        if not self._held or self._delivery is None:
            return
        try:
            refused = self._delivery.settle()
        except BaseException:
            # Nothing of a bundle that failed may be under way when it is tried again.
            self._delivery.close()
            self._delivery = None
            raise
        by_batch: dict[int, dict[int, str]] = {}
        for (number, row), reason in refused.items():
            by_batch.setdefault(number, {})[row] = reason
        for number, held in enumerate(self._held):
            for output in self._account(held.batch, by_batch.get(number, {})):
                value = WindowedValue(output.value, held.timestamp, (held.window,))
                yield beam.pvalue.TaggedOutput(output.tag, value)

    def teardown(self) -> None:
        if self._delivery is not None:
            self._delivery.close()

    def _account(self, batch: pa.RecordBatch, refused: dict[int, str]) -> Iterator[beam.pvalue.TaggedOutput]:
        written = batch.num_rows - len(refused)
        if "__rows" in batch.schema.names:
            yield outcome.note(STAGE, ledger.IN_PANES, pc.sum(batch.column("__rows")).as_py() or 0, "", self._output)
        elif written:
            yield outcome.note(STAGE, ledger.WRITTEN, written, "", self._output)
        if refused:
            letters = _letters(batch, refused)
            yield beam.pvalue.TaggedOutput(outcome.DEAD_LETTERS, letters)
            for rule, rows in count_by_rule(letters).items():
                yield outcome.note(STAGE, ledger.DEAD_LETTERED, rows, rule, self._output)


def _letters(batch: pa.RecordBatch, refused: dict[int, str]) -> pa.RecordBatch:
    rows = sorted(refused)
    taken = batch.take(pa.array(rows))
    if PAYLOAD not in taken.schema.names:
        # What would have been written is what there is of it.
        taken = taken.append_column(PAYLOAD, records_of(taken, RecordPlan()).values)
    if FAILURES in taken.schema.names:
        taken = taken.drop_columns([FAILURES])
    failed = failures_column([[failure(REFUSED, None, None, refused[row])] for row in rows])
    return letters_of(taken.append_column(FAILURES, failed), transform=STAGE)
