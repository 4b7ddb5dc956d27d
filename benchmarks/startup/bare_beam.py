"""The least that Beam does with a file of JSON Lines: read, parse, write as Parquet."""

from __future__ import annotations

import json
import sys

import apache_beam as beam
import pyarrow as pa

SCHEMA = pa.schema([("id", pa.string()), ("user", pa.string()), ("cents", pa.int64())])


def run(source: str, output: str) -> None:
    """Run it on FnApiRunner, as ours does."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.io.ReadFromText(source)
            | beam.Map(json.loads)
            | beam.Map(lambda event: {name: event[name] for name in SCHEMA.names})
            | beam.io.WriteToParquet(f"{output}/rows/part", SCHEMA, codec="zstd", file_name_suffix=".parquet")
        )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
