"""Check the quality of a data set in a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.columnar.shards import by_shard, shard_of
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.validate.quality import QualityResult, count_by_rule, count_distinct, distinct_keys, results

STAGE = "CheckQuality"

DEFAULT_SHARDS = 32
"""Takes 16 GiB of distinct keys (see `quality.MAX_SHARD_BYTES`)."""

ROWS = -1
"""In place of a rule's number: all rows."""

_Count = tuple[int, int]
_SEEDED = "Seed"


class QualityReport(NamedTuple):
    """`results`: one QualityResult for each rule. `ledger`: what passed, failed, or is worth a warning."""

    results: beam.PCollection[QualityResult]
    ledger: beam.PCollection[LedgerEntry]


class CheckQuality(beam.PTransform):
    """Judge a contract's rules about the data set: PCollection of validated batches to `QualityReport`.

    Rules are `Contract.data_set_rules`: its library metrics, SQL that counts rows, and its `unique` fields.
    Counts are added up, a few numbers for each bundle. `duplicateValues` and `unique` are exact, so distinct
    keys are shuffled to `shards` by their hash: 8 bytes a key for an integer, 16 for a decimal, 4 and the
    text for a string. A worker holds the distinct keys of one shard, and three times that while it compares
    them; above 512 MiB of keys in a shard the run fails and asks for more shards.

    Give the ledger to FinalizeRun: it refuses to publish when a rule of severity `error` failed. Put it
    before MaskBatches, since masked keys may collide. Each rule has its result, also when there are no rows.
    Bounded input in the global window only; UsageError for other input.

    >>> from beam_pipelines.contract import Field
    >>> contract = Contract("orders", (Field("id", pa.int64(), unique=True),))
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     report = pipeline | beam.Create([pa.record_batch({"id": [7, 7, 8]})]) | CheckQuality(contract)
    ...     _ = report.results | beam.Map(print)
    duplicateValues of id is 1, must be 0
    """

    def __init__(self, contract: Contract, shards: int = DEFAULT_SHARDS) -> None:
        super().__init__()
        if shards < 1:
            raise UsageError(f"duplicates are counted in 1 shard or more, not {shards}")
        self._contract = contract
        self._shards = shards

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> QualityReport:
        if not batches.is_bounded:
            raise UsageError("rules about a data set need bounded input: a stream has no end at which they could hold")
        if not isinstance(batches.windowing.windowfn, GlobalWindows):
            raise UsageError("check quality before windowing: its rules are about all rows")
        rules = self._contract.data_set_rules
        seeds = [(number, 0) for number in range(ROWS, len(rules))]
        counted = [
            batches | "Count" >> beam.ParDo(_CountRows(self._contract)),
            batches.pipeline | _SEEDED >> beam.Create(seeds).with_output_types(_Count),
        ]
        if any(rule.metric == "duplicateValues" for rule in rules):
            counted.append(
                batches
                | "ToShards" >> beam.ParDo(_ToShards(self._contract, self._shards))
                | "Group" >> beam.GroupByKey()
                | "Distinct" >> beam.ParDo(_CountDistinct(self._shards))
            )
        outputs = (
            counted
            | "Counts" >> beam.Flatten()
            | "Sum" >> beam.CombinePerKey(sum).with_output_types(_Count)
            | "AtOnePlace" >> beam.Map(lambda count: (None, count)).with_output_types(tuple[None, _Count])
            | "Together" >> beam.GroupByKey()
            | "Judge"
            >> beam.ParDo(_Judge(self._contract))
            .with_output_types(QualityResult, **{outcome.LEDGER: LedgerEntry})
            .with_outputs(outcome.LEDGER, main="results")
        )
        return QualityReport(outputs["results"], outputs[outcome.LEDGER])


@beam.typehints.with_output_types(_Count)
class _CountRows(beam.DoFn):
    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._counts: dict[int, int] = {}

    def start_bundle(self) -> None:
        self._counts = {}

    def process(self, batch: pa.RecordBatch) -> None:
        for number, count in enumerate([batch.num_rows, *count_by_rule(batch, self._contract)], start=ROWS):
            self._counts[number] = self._counts.get(number, 0) + count

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for count in self._counts.items():
            yield GlobalWindows.windowed_value(count)


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _ToShards(beam.DoFn):
    """Send distinct keys to shards; a rule's number is part of the shard's."""

    def __init__(self, contract: Contract, shards: int) -> None:
        rules = enumerate(contract.data_set_rules)
        self._keys = [(number, list(rule.fields)) for number, rule in rules if rule.metric == "duplicateValues"]
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        for number, fields in self._keys:
            keys = distinct_keys(batch, fields)
            for shard, piece in by_shard(keys, shard_of(keys, fields, self._shards)):
                yield number * self._shards + shard, piece


@beam.typehints.with_output_types(_Count)
class _CountDistinct(beam.DoFn):
    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, shard: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[_Count]:
        yield shard[0] // self._shards, -count_distinct(shard[1])


class _Judge(beam.DoFn):
    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def process(self, together: tuple[None, Iterable[_Count]]) -> Iterator[Any]:
        counts = dict(together[1])
        rules = self._contract.data_set_rules
        for result in results(rules, [counts[number] for number in range(len(rules))], counts[ROWS]):
            failed = ledger.QUALITY_FAILED if result.severity == "error" else ledger.QUALITY_WARNED
            yield result
            yield outcome.note(STAGE, ledger.QUALITY_PASSED if result.passed else failed, result.rows, str(result))
