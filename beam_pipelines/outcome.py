"""What a stage that can refuse rows returns, and how its DoFn speaks: good, dead letters, ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.error_handling import ErrorHandler

from beam_pipelines import ledger, progress
from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.dead_letters import count_by_rule
from beam_pipelines.ledger import LedgerEntry

GOOD = "good"
DEAD_LETTERS = "dead_letters"
LEDGER = "ledger"


class Outcome(NamedTuple):
    """What a transform that can refuse rows returns.

    `good`: batches that go on (or rows, from a transform of rows). `dead_letters`: batches of refused
    rows in `dead_letters.SCHEMA`. `ledger`: entries that account for them.
    """

    good: beam.PCollection[Any]
    dead_letters: beam.PCollection[pa.RecordBatch]
    ledger: beam.PCollection[LedgerEntry]

    def dead_letters_to(self, handler: ErrorHandler) -> beam.PCollection[Any]:
        """Leave the dead letters to one of Beam's error handlers, and go on with what is good.

        One handler gathers the dead letters of a whole pipeline, which needn't be threaded by hand.

        >>> from beam_pipelines import BatchesToRows, Contract, Field, ValidateRows
        >>> from beam_pipelines.dead_letters import SCHEMA
        >>> contract = Contract("orders", (Field("id", pa.int64(), required=True),))
        >>> with beam.Pipeline("FnApiRunner") as pipeline:
        ...     rows = pipeline | beam.Create([{"id": 1}, {"id": None}])
        ...     with ErrorHandler(BatchesToRows(SCHEMA)) as refused:
        ...         good = (rows | ValidateRows(contract)).dead_letters_to(refused)
        ...     _ = refused.output() | beam.Map(lambda letter: print(letter["rule"], letter["payload"]))
        required b'{"id":null}'
        """
        handler.add_error_pcollection(self.dead_letters)
        return self.good


def apply(source: beam.pvalue.PBegin | beam.PCollection[pa.RecordBatch], dofn: beam.DoFn, label: str) -> Outcome:
    """Apply a DoFn that yields good batches, `refuse(…)` and `note(…)`."""
    outputs = source | label >> beam.ParDo(dofn).with_output_types(
        pa.RecordBatch, **{DEAD_LETTERS: pa.RecordBatch, LEDGER: LedgerEntry}
    ).with_outputs(DEAD_LETTERS, LEDGER, main=GOOD)
    return Outcome(outputs[GOOD], outputs[DEAD_LETTERS], outputs[LEDGER])


def note(
    stage: str, outcome: str, rows: int, rule: str = "", output: str = ledger.ALL_OUTPUTS
) -> beam.pvalue.TaggedOutput:
    """One ledger entry; the same number goes to a Beam counter and to this process's, for live progress only."""
    progress.count(outcome, rows, stage=stage, **({"rule": rule} if rule else {}))
    beam.metrics.Metrics.counter(stage, f"{outcome}:{rule}" if rule else outcome).inc(rows)
    return beam.pvalue.TaggedOutput(LEDGER, ledger.entry(stage, outcome, rows, rule, output))


def refuse(letters: pa.RecordBatch, stage: str) -> Iterator[beam.pvalue.TaggedOutput]:
    """A batch of dead letters, and the ledger entries that account for them."""
    yield beam.pvalue.TaggedOutput(DEAD_LETTERS, letters)
    for rule, rows in count_by_rule(letters).items():
        yield note(stage, ledger.DEAD_LETTERED, rows, rule)
