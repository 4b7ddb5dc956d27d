"""Beam as its guides write it, a message an element, on Prism: `python -m benchmarks.kafka.row_wise … [EXPANSION]`.

With the address of an expansion service, Kafka is read by Beam's own transform, which is Java. Without, by our source,
taken apart, which is cheaper than the idiomatic way. Written is with confluent-kafka.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.kafka import ReadFromKafka
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from confluent_kafka import Producer

import beam_pipelines as bp
from benchmarks.kafka.rules import WINDOW_SECONDS, parsed
from scripts import prism

_Total = tuple[int, int]


def _good(payload: bytes) -> Iterator[dict[str, Any]]:
    click = parsed(payload)
    if click is not None:
        yield click


def _record(total: tuple[str, _Total], window: Any = beam.DoFn.WindowParam) -> tuple[bytes, bytes]:
    page, (n, cents) = total
    start = window.start.to_utc_datetime().isoformat() + "+00:00"
    return page.encode(), json.dumps({"window_start": start, "page": page, "n": n, "cents": cents}).encode()


class _CountAndSum(beam.CombineFn):
    def create_accumulator(self) -> _Total:
        return 0, 0

    def add_input(self, accumulator: _Total, cents: int) -> _Total:
        return accumulator[0] + 1, accumulator[1] + cents

    def merge_accumulators(self, accumulators: Iterable[_Total]) -> _Total:
        found = list(accumulators)
        return sum(n for n, _ in found), sum(cents for _, cents in found)

    def extract_output(self, accumulator: _Total) -> _Total:
        return accumulator


class _Produce(beam.DoFn):
    def __init__(self, broker: str, topic: str) -> None:
        self._broker, self._topic = broker, topic

    def setup(self) -> None:
        self._producer = Producer({"bootstrap.servers": self._broker, "enable.idempotence": True})

    def process(self, record: tuple[bytes, bytes]) -> None:
        self._producer.produce(self._topic, record[1], record[0])

    def finish_bundle(self) -> None:
        self._producer.flush()


def main(broker: str, source: str, target: str, messages: str, expansion: str = "") -> None:
    """Read what is there."""
    flags = ["--runner=PrismRunner", f"--prism_location={prism.binary()}"]
    servers = {"bootstrap.servers": broker}
    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        if expansion:
            consumer = {**servers, "auto.offset.reset": "earliest"}
            # Times of payloads are no choice of its: with any other than the message's own, Prism drops all as late.
            read = ReadFromKafka(
                consumer,
                [source],
                max_num_records=int(messages),
                timestamp_policy=ReadFromKafka.create_time_policy,
                expansion_service=expansion,
            )
            payloads = pipeline | read | "Values" >> beam.Map(lambda record: record[1])
        else:
            batches = pipeline | bp.ReadFromKafka(f"kafka://{broker}/{source}?bounded=true")
            payloads = batches.good | beam.FlatMap(lambda batch: batch.column("__payload").to_pylist())
        records = (
            payloads
            | "Parse" >> beam.FlatMap(_good)
            | "Times" >> beam.Map(lambda click: TimestampedValue(click, click["at"].timestamp()))
            | "Windows" >> beam.WindowInto(FixedWindows(WINDOW_SECONDS))
            | "Pages" >> beam.Map(lambda click: (click["page"], click["cents"]))
            | "Totals" >> beam.CombinePerKey(_CountAndSum())
            | "Records" >> beam.Map(_record).with_output_types(tuple[bytes, bytes])
        )
        records | "Write" >> beam.ParDo(_Produce(broker, target))


if __name__ == "__main__":
    from benchmarks.kafka import row_wise as here  # what is in __main__ doesn't travel well

    here.main(*sys.argv[1:])
