"""This package's transforms, on Prism."""

from __future__ import annotations

import sys

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

import beam_pipelines as bp
from beam_pipelines import ledger
from scripts import prism

CONTRACT = bp.Contract(
    "clicks",
    (
        bp.Field("id", pa.int64(), required=True),
        bp.Field("at", pa.timestamp("us", "UTC"), required=True, event_time=True),
        bp.Field("page", pa.string(), required=True),
        bp.Field("cents", pa.int64(), required=True, minimum=0),
        bp.Field("session", pa.string(), required=True),
    ),
)


def build(pipeline: beam.Pipeline, source: str, target: str) -> None:
    """Read, judge, aggregate and write; `source` and `target` are URIs."""
    read = pipeline | bp.ReadFromKafka(source, CONTRACT)
    valid = read.good | bp.DecodeBatches(CONTRACT) | bp.ValidateBatches(CONTRACT)
    windows = bp.AggregateBatches(
        CONTRACT.schema,
        "count(*) as n, sum(cents) as cents",
        group_by=["page"],
        window="fixed:10s",
        event_time="at",
    )
    (valid.good | windows).panes | bp.WriteToKafka(f"{target}?key=page", output=ledger.AGGREGATES)


def main(broker: str, source: str, target: str, _: str) -> None:
    """Read what is there."""
    flags = ["--runner=PrismRunner", f"--prism_location={prism.binary()}"]
    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        build(pipeline, f"kafka://{broker}/{source}?bounded=true", f"kafka://{broker}/{target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
