"""The sides, and what the page says of them."""

from __future__ import annotations

from typing import NoReturn

from benchmarks.workload import Side, Workload


def _on_a_broker(rows: int) -> NoReturn:
    raise RuntimeError(f"these {rows:,} messages are on a broker, not in a file: python -m benchmarks.kafka")


KAFKA = Workload(
    name="Kafka",
    title="from a topic to a topic",
    says="Messages of JSON (about 950 bytes, 15 fields, some nested; 1% bad of 5 kinds) in 4 partitions, "
    "uncompressed → judged by five fields' rules → count and sum by page in windows of 10 s of event time → a message "
    "for each. Measured by `python -m benchmarks.kafka`, which starts a broker beside the sides and doesn't count its "
    "CPU. Each side reads what is there, but for quixstreams, which has no end, waits 10 s for more, and closes a "
    "window only when a later message of its partition comes: so windows of the last 80 s aren't compared. Beam's "
    "Kafka in Java is bounded by a number of messages, its time is the message's own (with processing time, its "
    "default, nothing came out on Prism), and confluent-kafka writes what it finds. Start-up is 2 to 3 CPU seconds "
    "of each Beam side, and some more of the one with Java.",
    sides=(
        Side("beam_pipelines", "benchmarks.kafka.ours", "ReadFromKafka to WriteToKafka, on Prism"),
        Side(
            "bytewax", "benchmarks.kafka.bytewax_flow", "a message an item, `fold_window`, one worker", "bytewax-kafka"
        ),
        Side("quixstreams", "benchmarks.kafka.quixstreams_app", "a tumbling window, as in its guide", "quixstreams"),
        Side("beam_row_wise", "benchmarks.kafka.row_wise", "a message an element, on Prism, read by our source"),
        Side("beam_cross_language", "benchmarks.kafka.row_wise", "the same, read by Beam's Kafka, which is Java"),
    ),
    source=_on_a_broker,
    tables=(),
    reference=None,
    sizes=(1_000_000,),
    quick=None,
)
"""Not in the catalogue: each side is given a broker and topics instead of files."""
