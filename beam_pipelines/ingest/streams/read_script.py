"""A script (`streams.script`) → raw batches: as a source on any runner for streams, or by Beam's TestStream."""

from __future__ import annotations

import dataclasses
from typing import Literal

import apache_beam as beam
import pyarrow as pa
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from beam_pipelines import outcome
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.columnar.source_watermark import with_source_watermark
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.ingest.streams.account import account
from beam_pipelines.ingest.streams.event_times import EventTimes, PayloadTimes, earliest_of
from beam_pipelines.ingest.streams.read_log import ReadLog
from beam_pipelines.ingest.streams.reader import STAGE
from beam_pipelines.ingest.streams.script import Passing, Rows, ScriptLog, WatermarkAt, batches_of, read_script
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, read_options

_MILLI = 1000
"""Microseconds of the finest step that a watermark of TestStream's can make."""

_ALL_BUT_THE_END = Timestamp(micros=GlobalWindow().max_timestamp().micros // _MILLI * _MILLI - 1_000_000)

Through = Literal["source", "test_stream"]
"""How a script is played."""


@dataclasses.dataclass(frozen=True)
class ScriptOptions:
    """How a script is played and read: `scripted:///FILE?through=…&format=…`."""

    through: Literal["source", "test_stream"] = option("By a source, or by Beam's TestStream.", default="source")
    format: Literal["jsonl", "csv"] = option("What the records are.", default="jsonl")


class ReadScript(beam.PTransform):
    """Play a script: PBegin → Outcome of raw batches, an unbounded stream that ends with it.

    `through="source"`: a source, whose watermark moves as the script says; when windows close after that is the
    runner's business. `through="test_stream"`: Beam's TestStream, which waits after each step until the pipeline has
    nothing left to do, where the runner has it (BundleBasedDirectRunner, Prism): so panes are exact.

    A batch is stamped with the earliest event time of its rows; without any, with the watermark.
    """

    def __init__(self, log: ScriptLog, event_times: EventTimes, through: Through = "source") -> None:
        super().__init__()
        self._log = log
        self._event_times = event_times
        self._through = through

    @classmethod
    def of(cls, uri: Uri, contract: Contract, dialect: CsvDialect) -> ReadScript:
        """Play what a URI names. UsageError for a contract without an event time."""
        options = read_options(uri, ScriptOptions)
        log = ScriptLog(f"{uri.authority}/{uri.path}", options.format)
        return cls(log, PayloadTimes(contract, options.format, dialect), options.through)

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        if self._through == "source":
            return begin | "Log" >> ReadLog(self._log, self._event_times, WatermarkPolicy(0, by_rows=False, ahead=None))
        # As bytes, since runners in other languages take the stream's elements apart.
        encoded = begin | "TestStream" >> self._test_stream()
        batches = encoded | "Decode" >> beam.Map(RecordBatchCoder().decode).with_output_types(pa.RecordBatch)
        return account(batches, STAGE)

    def _test_stream(self) -> beam.PTransform:
        steps = read_script(self._log.path)
        batches = batches_of(steps, self._log.format)
        stream = TestStream(coder=beam.coders.BytesCoder()).with_output_types(bytes)
        reached = MIN_TIMESTAMP.micros
        for number, step in enumerate(steps):
            match step:
                case Rows():
                    earliest = earliest_of(batches[number], self._event_times)
                    at = Timestamp(micros=reached if earliest is None else earliest)
                    told = with_source_watermark(batches[number], reached)
                    stream = stream.add_elements([TimestampedValue(RecordBatchCoder().encode(told), at)])
                case WatermarkAt(micros):
                    reached = max(reached, micros // _MILLI * _MILLI)
                    stream = stream.advance_watermark_to(Timestamp(micros=reached))
                case Passing(seconds):
                    stream = stream.advance_processing_time(seconds)
        # All windows close before the end itself: BundleBasedDirectRunner fires timers that wait for either in one
        # round, and what is to be the stream's last word would come before its last panes.
        return stream.advance_watermark_to(_ALL_BUT_THE_END).advance_watermark_to_infinity()
