"""A stream in a process of its own: a queue → decode → validate → 10 s windows → files, until a file appears.

    python -m tests.ingest.queues.windows_job URI FOLDER --runner=…

What comes out is appended to files of the folder: panes, late, dead. It ends when the folder has a file `stop`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

import beam_pipelines as bp

CONTRACT = bp.Contract(
    "clicks",
    (
        bp.Field("id", pa.int64(), required=True),
        bp.Field("at", pa.timestamp("us", "UTC"), required=True, event_time=True),
    ),
)
READERS = {"pubsub": "ReadFromPubSub", "amqp": "ReadFromAmqp", "mqtt": "ReadFromMqtt"}


class _Append(beam.DoFn):
    """Workers of the runners these tests use are on this machine."""

    def __init__(self, path: str) -> None:
        self._path = path

    def process(self, batch: pa.RecordBatch) -> Iterator[None]:
        names = [name for name in batch.schema.names if not name.startswith("__") or name == "__rows"]
        with Path(self._path).open("a") as file:
            file.writelines(json.dumps(row, default=str) + "\n" for row in batch.select(names).to_pylist())
        return iter(())


def build(pipeline: beam.Pipeline, uri: str, folder: str) -> None:
    read = pipeline | getattr(bp, READERS[uri.partition(":")[0]])(uri, CONTRACT)
    valid = read.good | bp.DecodeBatches(CONTRACT, "jsonl") | bp.ValidateBatches(CONTRACT)
    windows = bp.AggregateBatches(CONTRACT.schema, "count(*) as n, sum(id) as ids", window="fixed:10s", event_time="at")
    aggregates = valid.good | windows
    aggregates.panes | "Panes" >> beam.ParDo(_Append(f"{folder}/panes"))
    aggregates.late | "Late" >> beam.ParDo(_Append(f"{folder}/late"))
    read.dead_letters | "DeadRead" >> beam.ParDo(_Append(f"{folder}/dead"))
    valid.dead_letters | "Dead" >> beam.ParDo(_Append(f"{folder}/dead"))


def main(uri: str, folder: str, *flags: str) -> None:
    pipeline = beam.Pipeline(options=PipelineOptions([*flags, "--streaming"]))
    build(pipeline, uri, folder)
    running = pipeline.run()
    while not Path(folder, "stop").exists():
        time.sleep(0.2)
        assert not PipelineState.is_terminal(running.state), running.state
    running.cancel()


if __name__ == "__main__":
    main(*sys.argv[1:])
