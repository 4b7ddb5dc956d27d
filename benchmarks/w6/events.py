"""Nexmark's events as batches, in a Beam job: read, decoded and judged once, then told apart by their kind."""

from __future__ import annotations

import dataclasses

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.error_handling import ErrorHandler

from beam_pipelines import Contract, DecodeBatches, DeriveColumns, Field, FilterBatches, ReadFiles, ValidateBatches
from benchmarks.w6.schemas import EVENT

_IN_JSON = {
    "email_address": "emailAddress",
    "credit_card": "creditCard",
    "date_time": "dateTime",
    "item_name": "itemName",
    "initial_bid": "initialBid",
}
PERSON, AUCTION, BID = "name IS NOT NULL", "item_name IS NOT NULL", "auction IS NOT NULL"
"""What only one kind of event has; Beam's parser tells them apart by these fields too."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """Batches, and what is in them."""

    batches: beam.PCollection[pa.RecordBatch]
    schema: pa.Schema


@dataclasses.dataclass(frozen=True)
class Events:
    """A file of events, and where dead letters of all stages go."""

    pipeline: beam.Pipeline
    source: str
    refused: ErrorHandler

    def read(self, *names: str) -> Rows:
        """Events of all kinds, with these fields; one is null where an event has no such field."""
        contract = Contract(
            "events", tuple(Field(name, EVENT[name], physical_name=_IN_JSON.get(name)) for name in names)
        )
        raw = (self.pipeline | ReadFiles(self.source, "jsonl")).dead_letters_to(self.refused)
        decoded = raw | DecodeBatches(contract)
        return Rows((decoded | ValidateBatches(contract)).dead_letters_to(self.refused), contract.schema)

    def only(self, rows: Rows, kind: str) -> Rows:
        """Those of one kind."""
        kept = rows.batches | kind >> FilterBatches(rows.schema, kind)
        return Rows(kept.dead_letters_to(self.refused), rows.schema)

    def timed(self, rows: Rows, time: str) -> Rows:
        """With an event time `at`, which an expression tells."""
        derive = DeriveColumns(rows.schema, {"at": time})
        return Rows((rows.batches | "Time" >> derive).dead_letters_to(self.refused), derive.contract.schema)
