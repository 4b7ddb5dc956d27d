"""A table → raw batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger, outcome, progress
from beam_pipelines.columnar.batches import split_to_bounds
from beam_pipelines.columnar.provenance import column_batch
from beam_pipelines.ingest.tables.known import table_of
from beam_pipelines.ingest.tables.table import Part, Table
from beam_pipelines.uris import Uri

STAGE = "ReadFromTable"


class ReadFromTable(beam.PTransform):
    """Read the rows that a table has now: PBegin → Outcome of raw batches (`columnar.provenance`).

    `uri` is `scheme://…?options`, with the scheme of a store (docs/stores.md). A batch has the table's columns in the
    struct `__record`; `__source` is the table and its part, `__position` a row's number in the part. `columns` are
    those that are read, if the table has them; None is all of them.

    A table is read in parts, by several workers; where the store has snapshots, all parts are of one. Rows are counted
    as READ. UsageError, when the pipeline is made, for wrong credentials, a table that isn't there, and options that
    aren't the store's.
    """

    def __init__(self, uri: str | Uri, columns: Sequence[str] | None = None) -> None:
        super().__init__()
        self._table = table_of(uri, columns)
        self._table.check()

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        parts = (
            begin
            | "Table" >> beam.Create([self._table])
            | "Parts" >> beam.FlatMap(_parts).with_output_types(Part)
            | "Spread" >> beam.Reshuffle()
        )
        return outcome.apply(parts, _ReadPart(self._table), "Read")


def _parts(table: Table) -> Sequence[Part]:
    return table.parts()


class _ReadPart(beam.DoFn):
    def __init__(self, table: Table) -> None:
        self._table = table

    def process(self, part: Part) -> Iterator[pa.RecordBatch | beam.pvalue.TaggedOutput]:
        source, position = f"{self._table.name}#{part}", 0
        for found in self._table.read(part):
            for rows in split_to_bounds(found):
                yield outcome.note(STAGE, ledger.READ, rows.num_rows)
                progress.count(progress.BYTES, rows.nbytes)
                positions = pa.array(range(position, position + rows.num_rows), pa.int64())
                yield column_batch(rows.to_struct_array(), source, positions)
                position += rows.num_rows
