"""Dead letters on a queue topic too, in the envelope that `dead-letters cat` prints."""

from __future__ import annotations

import dataclasses

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.columnar.provenance import PAYLOAD
from beam_pipelines.errors import UsageError
from beam_pipelines.sink.dead_letter_files import stamp, to_json_lines
from beam_pipelines.sink.runs import RunIdentity
from beam_pipelines.uris import parse_uri

_ID = ("run_id", "transform", "source", "partition", "position")
"""What tells a letter from all others, so that readers know one that was written twice."""


def queue_letters(letters: beam.PCollection[pa.RecordBatch], uri: str, run: RunIdentity, label: str) -> None:
    """Write each letter as a record of JSON. A letter too long for the topic is in the lake's files alone.

    UsageError for a URI that isn't right, or that says itself what a record is.
    """
    from beam_pipelines.pipelines.steps.sinks import TOPICS  # here, since sinks keep accounts, which call this

    try:
        topic = parse_uri(uri, TOPICS)
        said = {"value", "id", "key"} & dict(topic.options).keys()
        if said:
            raise UsageError(f"?{min(said)}: records of dead letters have their own, leave it out")
        options = (*topic.options, ("value", "raw"), ("id", ",".join(_ID)))
        write = TOPICS[topic.scheme](dataclasses.replace(topic, options=options), _RECORDS, "dead_letter_topic")
    except UsageError as wrong:
        raise UsageError(f"--dead_letter_topic: {wrong}") from None
    records = letters | f"{label}Records" >> beam.Map(_records, run.pipeline, run.run_id).with_output_types(
        pa.RecordBatch
    )
    _ = records | label >> write


_RECORDS = pa.schema(
    [
        (PAYLOAD, pa.binary()),
        ("run_id", pa.string()),
        ("transform", pa.string()),
        ("source", pa.string()),
        ("partition", pa.int32()),
        ("position", pa.int64()),
    ]
)


def _records(letters: pa.RecordBatch, pipeline: str, run_id: str) -> pa.RecordBatch:
    stamped = stamp(letters, pipeline, run_id)
    lines = to_json_lines(stamped).splitlines()
    return pa.RecordBatch.from_arrays([pa.array(lines, pa.binary()), *map(stamped.column, _ID)], schema=_RECORDS)
