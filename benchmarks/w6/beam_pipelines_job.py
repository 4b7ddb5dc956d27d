"""This package's transforms in a Beam job, a query at a time, on FnApiRunner: `SOURCE OUTPUT QUERY`."""

from __future__ import annotations

import sys

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.error_handling import ErrorHandler

from benchmarks.w6.events import Events
from benchmarks.w6.queries import QUERIES
from benchmarks.w6.schemas import WRITTEN


class RefusedError(ValueError):
    """An event isn't what it should be. None is: Beam's parser fails as well."""


class Refuse(beam.PTransform):
    """Fails the job if there is a dead letter."""

    def expand(self, letters: beam.PCollection) -> beam.PCollection:
        return letters | beam.Map(_refuse)


def _refuse(letters: pa.RecordBatch) -> None:
    raise RefusedError(letters.slice(0, 1).to_pylist())


def run(source: str, output: str, number: int) -> None:
    """Run a query."""
    schema = WRITTEN[number]
    with beam.Pipeline("FnApiRunner") as pipeline:
        with ErrorHandler(Refuse()) as refused:
            results = QUERIES[number](Events(pipeline, source, refused))
        _ = (
            results.batches
            | "Table" >> beam.Map(lambda batch: pa.Table.from_batches([batch.select(schema.names)]).cast(schema))
            | beam.io.WriteToParquetBatched(f"{output}/results/part", schema, codec="zstd", file_name_suffix=".parquet")
        )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
