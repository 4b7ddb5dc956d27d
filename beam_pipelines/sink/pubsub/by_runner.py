"""Messages written by what the runner has for it: Dataflow's own sink."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.gcp import pubsub

from beam_pipelines import outcome
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.sink.deliver import Written, account
from beam_pipelines.sink.pubsub.delivery import messages_of, problem_of
from beam_pipelines.sink.records import RecordPlan, check_plan, records_of

_MESSAGES = "messages"


class WriteByRunner(beam.PTransform):
    """Write each row by Beam's `WriteToPubSub`, which Dataflow has of its own: PCollection[RecordBatch] → Written.

    At least once, under the same ids as by calls of ours. What the service would never take is found beforehand.
    """

    def __init__(self, topic: str, plan: RecordPlan, stage: str, refused: str, output: str) -> None:
        super().__init__()
        self._topic = topic
        self._make = _Make(plan, stage, refused, output)

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Written:
        made = batches | "Messages" >> beam.ParDo(self._make).with_output_types(
            pubsub.PubsubMessage, **{outcome.DEAD_LETTERS: pa.RecordBatch, outcome.LEDGER: LedgerEntry}
        ).with_outputs(outcome.DEAD_LETTERS, outcome.LEDGER, main=_MESSAGES)
        _ = made[_MESSAGES] | "Publish" >> pubsub.WriteToPubSub(self._topic, with_attributes=True)
        return Written(made[outcome.DEAD_LETTERS], made[outcome.LEDGER])


class _Make(beam.DoFn):
    def __init__(self, plan: RecordPlan, stage: str, refused: str, output: str) -> None:
        self._plan = plan
        self._stage = stage
        self._refused = refused
        self._output = output

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        check_plan(self._plan, batch.schema)
        refused: dict[int, str] = {}
        for row, message in enumerate(messages_of(records_of(batch, self._plan))):
            problem = problem_of(message)
            if problem is None:
                yield pubsub.PubsubMessage(message.data, dict(message.attributes))
            else:
                refused[row] = problem
        yield from account(batch, refused, self._stage, self._refused, self._output)
