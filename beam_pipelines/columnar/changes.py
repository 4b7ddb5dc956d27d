"""Changing rows batch by batch: what became of a batch's rows, and the DoFn that tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import outcome
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.columnar.source_watermark import told_by_source
from beam_pipelines.contract.model import Contract
from beam_pipelines.dead_letters import letters_of
from beam_pipelines.errors import did_you_mean
from beam_pipelines.outcome import Outcome


class Counted(NamedTuple):
    """An entry for the ledger: an outcome, of how many rows, and by which rule."""

    outcome: str
    rows: int
    rule: str = ""


class Changed(NamedTuple):
    """What became of a batch: batches that go on, rows that can't (with `__failures`), and what was counted."""

    good: Iterable[pa.RecordBatch]
    refused: pa.RecordBatch | None = None
    counted: tuple[Counted, ...] = ()


class RowChange(Protocol):
    """A kernel: rows of one contract into rows of another."""

    @property
    def source(self) -> Contract:
        """What comes in."""

    @property
    def contract(self) -> Contract:
        """What comes out."""

    def __call__(self, batch: pa.RecordBatch) -> Changed:
        """Change a batch."""


def apply_change(batches: beam.PCollection[pa.RecordBatch], change: RowChange, stage: str) -> Outcome:
    """Apply a kernel to each batch; `stage` is its name in ledger and dead letters."""
    return outcome.apply(batches, _Change(change, stage), "Change")


def told(changed: Changed, stage: str, source: Contract) -> Iterator[Any]:
    """What a DoFn yields for a changed batch: good batches that aren't empty, dead letters, the ledger."""
    for counted in changed.counted:
        if counted.rows:
            yield outcome.note(stage, counted.outcome, counted.rows, counted.rule)
    if changed.refused is not None and changed.refused.num_rows:
        letters = letters_of(
            changed.refused,
            transform=stage,
            contract=source.name,
            contract_version=source.version,
            event_time=None if source.event_time is None else source.event_time.name,
        )
        yield from outcome.refuse(letters, stage)
    for good in changed.good:
        if good.num_rows:
            yield good


def check_columns(batch: pa.RecordBatch, contract: Contract, stage: str) -> None:
    """Refuse a batch that isn't one of the contract's, or whose rows were not validated. ValueError."""
    names = batch.schema.names
    if FAILURES in names and batch.column(FAILURES).null_count < batch.num_rows:
        raise ValueError(f"rows that failed decoding reached {stage}: put ValidateBatches before it")
    for field in contract.fields:
        if field.name not in names:
            raise ValueError(f"{stage}: the batch has no column '{field.name}'." + did_you_mean(field.name, names))
        if (found := batch.schema.field(field.name).type) != field.type:
            raise ValueError(f"{stage}: column '{field.name}' is {found}, not {field.type}, which it was made for")


class _Change(beam.DoFn):
    def __init__(self, change: RowChange, stage: str) -> None:
        self._change = change
        self._stage = stage

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        check_columns(batch, self._change.source, self._stage)
        for element in told(self._change(batch), self._stage, self._change.source):
            yield told_by_source(element, batch) if isinstance(element, pa.RecordBatch) else element
