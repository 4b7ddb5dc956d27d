"""What became of all that a stream's source has read: it goes on, is a dead letter, or is counted as filtered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.batches import split_to_bounds
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, RECORD
from beam_pipelines.dead_letters import failure, failures_column, letters_of

TOMBSTONE = "tombstone"
"""Rule of rows without a payload, which in logs stand for the deletion of their key."""

Tombstones = Literal["keep", "filter", "dead_letter"]


def account(polled: beam.PCollection[pa.RecordBatch], stage: str, tombstones: Tombstones = "keep") -> outcome.Outcome:
    """Count what was read, and put what can't be read as records into dead letters."""
    return outcome.apply(polled, _Account(stage, tombstones), "Account")


class _Account(beam.DoFn):
    """Counts what was read, and puts what can't be read as records into dead letters."""

    def __init__(self, stage: str, tombstones: Tombstones) -> None:
        self._stage = stage
        self._tombstones = tombstones

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch | beam.pvalue.TaggedOutput]:
        return self._account(batch)

    def _account(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch | beam.pvalue.TaggedOutput]:
        yield outcome.note(self._stage, ledger.READ, batch.num_rows)
        if not batch.num_rows:
            return  # it tells that a reader began
        if FAILURES in batch.schema.names:
            failed = batch.column(FAILURES).is_valid()
            # Of what couldn't be read, the payload is all there is.
            refused = batch.select([name for name in batch.schema.names if name != RECORD]).filter(failed)
            yield from outcome.refuse(letters_of(refused, transform=self._stage), self._stage)
            batch = batch.filter(pc.invert(failed)).drop_columns([FAILURES])
        empty = batch.column(PAYLOAD).null_count
        if empty and self._tombstones != "keep":
            is_empty = batch.column(PAYLOAD).is_null()
            if self._tombstones == "filter":
                yield outcome.note(self._stage, ledger.FILTERED, empty, TOMBSTONE)
            else:
                refused = batch.filter(is_empty)
                told = failures_column([[failure(TOMBSTONE, None, None, "has no value")]] * empty)
                letters = letters_of(refused.append_column(FAILURES, told), transform=self._stage)
                yield from outcome.refuse(letters, self._stage)
            batch = batch.filter(pc.invert(is_empty))
        if batch.num_rows:
            yield from split_to_bounds(batch)
