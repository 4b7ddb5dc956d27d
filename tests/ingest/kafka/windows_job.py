"""A stream in a process of its own: Kafka → decode → validate → windows → Kafka, until a file appears.

    python -m tests.ingest.kafka.windows_job BROKER IN STOP_FILE OPTIONS WINDOW_SECONDS DEATHS --runner=…

Panes, late rows and dead letters go to the topics IN-panes, IN-late and IN-dead.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

import beam_pipelines as bp
from beam_pipelines import ledger

TIME = pa.timestamp("us", "UTC")
CONTRACT = bp.Contract(
    "clicks",
    (
        bp.Field("id", pa.int64(), required=True),
        bp.Field("at", TIME, required=True, event_time=True),
        bp.Field("page", pa.string(), required=True),
        bp.Field("cents", pa.int64(), required=True, minimum=0),
    ),
)
SCHEMA = CONTRACT.schema
AGGREGATES = "count(*) as n, sum(cents) as cents, max(id) as top"


def build(pipeline: beam.Pipeline, broker: str, topic: str, options: str, seconds: str, deaths: str = "") -> None:
    """Wire it. `deaths`: a folder that says at what steps workers die (`tests.recovery.deaths`)."""
    place = f"kafka://{broker}/{topic}"
    read = pipeline | bp.ReadFromKafka(f"{place}?{options}", CONTRACT)
    rows = read.good
    if deaths:
        from tests.recovery.deaths import Mortal

        rows |= beam.ParDo(Mortal(deaths)).with_output_types(pa.RecordBatch)
    valid = rows | bp.DecodeBatches(CONTRACT, "jsonl") | bp.ValidateBatches(CONTRACT)
    window = f"fixed:{seconds}s"
    windows = bp.AggregateBatches(SCHEMA, AGGREGATES, group_by=["page"], window=window, event_time="at")
    aggregates = valid.good | windows
    aggregates.panes | "Panes" >> bp.WriteToKafka(f"{place}-panes?key=page", output=ledger.AGGREGATES)
    aggregates.late | "Late" >> bp.WriteToKafka(f"{place}-late", output="late")
    for name, letters in (("Read", read.dead_letters), ("Invalid", valid.dead_letters)):
        # Letters of messages have their place: what is written twice has one id.
        letters | f"Dead {name}" >> bp.WriteToKafka(f"{place}-dead?id=source,partition,position", output="dead")


def main(broker: str, topic: str, stop: str, options: str, seconds: str, deaths: str, *flags: str) -> None:
    pipeline = beam.Pipeline(options=PipelineOptions([*flags, "--streaming"]))
    build(pipeline, broker, topic, options, seconds, deaths)
    running = pipeline.run()
    while not Path(stop).exists():
        time.sleep(0.2)
        assert not PipelineState.is_terminal(running.state), running.state
    running.cancel()


if __name__ == "__main__":
    main(*sys.argv[1:])
