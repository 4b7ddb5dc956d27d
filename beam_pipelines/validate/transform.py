"""Validation as a Beam transform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines import outcome
from beam_pipelines.columnar.batches import earliest_micros
from beam_pipelines.columnar.source_watermark import told_by_source
from beam_pipelines.contract.model import Contract
from beam_pipelines.dead_letters import letters_of
from beam_pipelines.outcome import Outcome
from beam_pipelines.validate.rules import judge

STAGE = "ValidateBatches"

_EVENT_TIME = pa.timestamp("us", "UTC")


class ValidateBatches(beam.PTransform):
    """Judge decoded batches: PCollection[RecordBatch] to Outcome(good, dead_letters, ledger).

    Good batches have exactly the contract's columns and types, then the columns that ride along; they
    are never empty, and stamped with their earliest event time if the contract has one (a date counts
    from its midnight in UTC). What is judged, and what a broken rule leads to, says `judge`.

    >>> from beam_pipelines.contract.model import Field
    >>> orders = Contract("orders", (Field("id", pa.int64(), required=True),))
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     batches = pipeline | beam.Create([pa.record_batch({"id": pa.array([7, None])})])
    ...     good, dead_letters, ledger = batches | ValidateBatches(orders)
    ...     _ = good | beam.Map(lambda batch: print(batch.to_pydict()))
    {'id': [7]}
    """

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        self._contract = contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Outcome:
        return outcome.apply(batches, _Judge(self._contract), "Judge")


class _Judge(beam.DoFn):
    def __init__(self, contract: Contract, stage: str = STAGE) -> None:
        self._contract = contract
        self._stage = stage

    def process(self, element: pa.RecordBatch) -> Iterator[Any]:
        contract = self._contract
        time = contract.event_time
        good, refused, notes = judge(element, contract)
        for note in notes:
            yield outcome.note(self._stage, note.outcome, note.rows, note.rule)
        if refused.num_rows:
            letters = letters_of(
                _with_event_time(refused, contract),
                transform=self._stage,
                contract=contract.name,
                contract_version=contract.version,
                event_time=None if time is None else time.name,
            )
            yield from outcome.refuse(letters, self._stage)
        if good.num_rows:
            good = told_by_source(good, element)
            earliest = None if time is None else earliest_micros(good.column(time.name).cast(_EVENT_TIME))
            yield good if earliest is None else TimestampedValue(good, Timestamp(micros=earliest))


def _with_event_time(batch: pa.RecordBatch, contract: Contract) -> pa.RecordBatch:
    """The batch with its event time as a timestamp, which a date is not."""
    if contract.event_time is None or contract.event_time.type == _EVENT_TIME:
        return batch
    name = contract.event_time.name
    return batch.set_column(batch.schema.get_field_index(name), name, batch.column(name).cast(_EVENT_TIME))
