"""Batches → a topic or queue, by a client that says what became of each row: what all such sinks have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD
from beam_pipelines.dead_letters import count_by_rule, failure, failures_column, letters_of
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.sink.records import RecordPlan, Records, check_plan, records_of

HELD_BYTES = 32 << 20
"""Bytes of batches that wait for their delivery; a bundle with more waits for it in between."""

Row = tuple[int, int]
"""Which batch since `settle` was last called, and which row of it."""


class Delivery(Protocol):
    """An open client that writes, and what it has been given since `settle` was last called."""

    def send(self, records: Records) -> object:
        """Give records to the client, waiting while too much is under way."""

    def settle(self) -> dict[Row, str]:
        """Wait until the broker has all, and forget it. Returns the rows that it will never take, and why.

        Any error means that all has to be given again, which may write some twice. UsageError for what a person has
        to mend.
        """

    def close(self) -> None:
        """Drop what is under way."""


class Written(NamedTuple):
    """What a sink of rows returns: refused rows in `dead_letters.SCHEMA`, and entries that account for all rows."""

    dead_letters: beam.PCollection[pa.RecordBatch]
    ledger: beam.PCollection[LedgerEntry]


class DeliverBatches(beam.PTransform):
    """Write each row by the delivery that `open` makes on the worker: PCollection[RecordBatch] → Written.

    At least once: a bundle ends when its delivery has settled, and what fails is tried again as a whole. Rows are
    counted under `stage` as WRITTEN of `output`, panes as IN_PANES by their `__rows`; those that will never be taken
    become dead letters of the rule `refused`. `records` makes what is sent of a batch.
    """

    def __init__(
        self,
        open: Callable[[], Delivery],
        plan: RecordPlan,
        stage: str,
        refused: str,
        output: str,
        records: Callable[[pa.RecordBatch, RecordPlan], Records] = records_of,
    ) -> None:
        super().__init__()
        self._write = _Write(open, plan, stage, refused, output, records)

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Written:
        written = outcome.apply(batches, self._write, "Write")
        return Written(written.dead_letters, written.ledger)


class _Held(NamedTuple):
    """A batch under way, and where what comes of it belongs."""

    batch: pa.RecordBatch
    timestamp: Any
    window: Any


class _Write(beam.DoFn):
    def __init__(
        self,
        open: Callable[[], Delivery],
        plan: RecordPlan,
        stage: str,
        refused: str,
        output: str,
        records: Callable[[pa.RecordBatch, RecordPlan], Records] = records_of,
    ) -> None:
        self._open = open
        self._plan = plan
        self._records = records
        self._stage = stage
        self._refused = refused
        self._output = output
        self._delivery: Delivery | None = None

    def start_bundle(self) -> None:
        self._held: list[_Held] = []
        self._held_bytes = 0

    def process(
        self, batch: pa.RecordBatch, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        if self._delivery is None:
            check_plan(self._plan, batch.schema)
            self._delivery = self._open()
        self._held.append(_Held(batch, timestamp, window))
        self._held_bytes += batch.nbytes
        self._delivery.send(self._records(batch, self._plan))
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
            for output in account(held.batch, by_batch.get(number, {}), self._stage, self._refused, self._output):
                value = WindowedValue(output.value, held.timestamp, (held.window,))
                yield beam.pvalue.TaggedOutput(output.tag, value)

    def teardown(self) -> None:
        if self._delivery is not None:
            self._delivery.close()


def account(
    batch: pa.RecordBatch, refused: Mapping[int, str], stage: str, rule: str, output: str
) -> Iterator[beam.pvalue.TaggedOutput]:
    """Account for a batch of which all rows are written but the refused ones: these are dead letters of a rule."""
    written = batch.num_rows - len(refused)
    if "__rows" in batch.schema.names:
        rows = pc.sum(batch.column("__rows")).as_py() or 0
        yield outcome.note(stage, ledger.IN_PANES, rows, "", output)
    elif written:
        yield outcome.note(stage, ledger.WRITTEN, written, "", output)
    if refused:
        letters = _letters(batch, refused, stage, rule)
        yield beam.pvalue.TaggedOutput(outcome.DEAD_LETTERS, letters)
        for broken, rows in count_by_rule(letters).items():
            yield outcome.note(stage, ledger.DEAD_LETTERED, rows, broken, output)


def _letters(batch: pa.RecordBatch, refused: Mapping[int, str], stage: str, rule: str) -> pa.RecordBatch:
    rows = sorted(refused)
    taken = batch.take(pa.array(rows))
    if PAYLOAD not in taken.schema.names:
        # What would have been written is what there is of it.
        taken = taken.append_column(PAYLOAD, records_of(taken, RecordPlan()).values)
    if FAILURES in taken.schema.names:
        taken = taken.drop_columns([FAILURES])
    failed = failures_column([[failure(rule, None, None, refused[row])] for row in rows])
    return letters_of(taken.append_column(FAILURES, failed), transform=stage)
