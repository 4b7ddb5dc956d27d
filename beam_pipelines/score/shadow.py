"""A shadow model: it scores the same rows beside the model, and only where the two disagree is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.score.card import ModelCard

PREFIX = "__shadow_"
"""Of columns that hold a shadow's outputs until they are compared."""

SCHEMA = pa.schema(
    [
        pa.field("output", pa.string(), nullable=False),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("shadow_id", pa.string(), nullable=False),
        pa.field("shadow_version", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("disagreeing", pa.int64(), nullable=False),  # rows whose outputs differ by more than the tolerance
        pa.field("largest_difference", pa.float64()),  # null for outputs that aren't numbers
    ]
)
"""Columns of a report of disagreement: a row for each output, and pair of models that scored."""

_Key = tuple[str, str, str, str, str]
_Sums = tuple[int, int, float | None]


def compare(
    batch: pa.RecordBatch, card: ModelCard, shadow: ModelCard, tolerance: float
) -> Iterator[tuple[_Key, _Sums]]:
    """Compare a scored batch's outputs with the shadow's. A null on one side alone is a difference."""
    models = (batch.column("model_id")[0].as_py(), batch.column("model_version")[0].as_py(), shadow.id, shadow.version)
    for output in card.outputs:
        ours, theirs = batch.column(output.name), batch.column(PREFIX + output.name)
        one_null = pc.xor(ours.is_null(), theirs.is_null())
        if pa.types.is_integer(output.type) or pa.types.is_floating(output.type):
            apart = pc.abs(pc.subtract(ours.cast(pa.float64()), theirs.cast(pa.float64())))
            differ, largest = pc.greater(apart, tolerance), pc.max(apart).as_py()
        else:
            differ, largest = pc.not_equal(ours, theirs), None
        disagreeing = pc.sum(pc.or_(differ.fill_null(False), one_null)).as_py() or 0
        yield (output.name, *models), (batch.num_rows, disagreeing, largest)


class SumDisagreement(beam.CombineFn):
    """Sums of rows and the largest difference; in any order the same."""

    def create_accumulator(self) -> _Sums:
        return 0, 0, None

    def add_input(self, sums: _Sums, more: _Sums) -> _Sums:
        largest = [each for each in (sums[2], more[2]) if each is not None]
        return sums[0] + more[0], sums[1] + more[1], max(largest, default=None)

    def merge_accumulators(self, accumulators: Iterable[_Sums]) -> _Sums:
        merged = self.create_accumulator()
        for each in accumulators:
            merged = self.add_input(merged, each)
        return merged

    def extract_output(self, sums: _Sums) -> _Sums:
        return sums


def report(item: tuple[_Key, _Sums]) -> pa.RecordBatch:
    """One row of a report, as a batch."""
    values = [*item[0], *item[1]]
    return pa.RecordBatch.from_arrays(
        [pa.array([value], field.type) for value, field in zip(values, SCHEMA, strict=True)], schema=SCHEMA
    )
