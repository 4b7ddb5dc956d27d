"""When the rows of a raw batch happened, as their source needs it for the watermark."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.fixed_width import FixedWidthLayout
from beam_pipelines.decode.formats import AUTO, decode
from beam_pipelines.decode.poison import decode_around_poison
from beam_pipelines.errors import UsageError

TIME = pa.timestamp("us", "UTC")

EventTimes = Callable[[pa.RecordBatch], pa.Array]
"""Raw batch → timestamp("us", "UTC") of each row, null where there is none."""


def publish_times(batch: pa.RecordBatch) -> pa.Array:
    """When the rows were published, as the broker says.

    >>> publish_times(pa.record_batch({"__payload": [b"x"]})).to_pylist()
    [None]
    """
    name = "__publish_time"
    return batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows, TIME)


@dataclasses.dataclass(frozen=True)
class PayloadTimes:
    """Event times out of payloads: the field that the contract marks; null of rows that have none.

    Not the time they were published: in a topic that is read from its beginning that is long after the others' event
    times, and one poison message would make all rows behind it late.

    Only that field is parsed (CSV without a header: all), which costs about a third of decoding the row.

    >>> from beam_pipelines.columnar.provenance import raw_batch
    >>> from beam_pipelines.contract.model import Field
    >>> times = PayloadTimes(Contract("orders", (Field("at", TIME, event_time=True), Field("n", pa.int64()))), "jsonl")
    >>> times(raw_batch(pa.array([b'{"at": "2024-01-01T00:00:00Z", "n": 1}', b"{}"]), "t", pa.array([0, 1])))[0]
    <pyarrow.TimestampScalar: '2024-01-01T00:00:00.000000+0000'>
    """

    contract: Contract
    format: str = AUTO
    dialect: CsvDialect = dataclasses.field(default_factory=CsvDialect)
    layout: FixedWidthLayout | None = None

    def __post_init__(self) -> None:
        if self.contract.event_time is None:
            raise UsageError(
                f"a stream needs event times, and no field of {self.contract.source} is marked with the custom "
                "property eventTime: true"
            )
        fields = self.contract.fields
        if self.layout is None and (self.dialect.header or self.format == "jsonl"):
            fields = (
                dataclasses.replace(self.contract.event_time, primary_key_position=None, partition_position=None),
            )
        only = Contract(self.contract.name, fields, self.contract.version, source=self.contract.source)
        object.__setattr__(self, "contract", only)

    def __call__(self, batch: pa.RecordBatch) -> pa.Array:
        field = self.contract.event_time
        assert field is not None
        parts = [part.column(field.name) for part in decode_around_poison(batch, self._decode)]
        times = parts[0] if len(parts) == 1 else pa.concat_arrays(parts)
        return times if times.type == TIME else times.cast(TIME)

    def _decode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return decode(batch, self.contract, self.format, self.dialect, self.layout)


def micros_of(batch: pa.RecordBatch, event_times: EventTimes) -> pa.Array:
    """Event times of a raw batch in microseconds since the epoch; what is no record has none in its payload."""
    no_records = FAILURES in batch.schema.names and not batch.column(FAILURES).null_count
    if no_records and event_times is not publish_times:
        return pa.nulls(batch.num_rows, pa.int64())
    return event_times(batch).cast(pa.int64())


def earliest_of(batch: pa.RecordBatch, event_times: EventTimes) -> int | None:
    """Earliest event time of a raw batch, None if none of its rows has one."""
    earliest: int | None = pc.min(micros_of(batch, event_times)).as_py()
    return earliest


def stamp_of(batch: pa.RecordBatch, event_times: EventTimes) -> int | None:
    """Earliest event time of a raw batch of bounded input, which has no watermark; None if payloads had to be parsed.

    What validates rows stamps them by their payloads, as it does those of files.
    """
    return earliest_of(batch, event_times) if event_times is publish_times else None
