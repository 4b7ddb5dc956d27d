"""bytewax: a message an item, a folded window, its own Kafka source and sink, one worker."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing
from bytewax.testing import run_main

from benchmarks.kafka.rules import WINDOW_SECONDS, parsed

_ALIGNED_TO = datetime(2024, 1, 1, tzinfo=timezone.utc)
_WAIT = timedelta(seconds=60)  # partitions are read at different speeds
_BATCH = 1000  # as its documentation advises for throughput


def _record(found: tuple[str, tuple[int, tuple[int, int]]]) -> KafkaSinkMessage[bytes, bytes]:
    page, (window, (n, cents)) = found
    start = _ALIGNED_TO + timedelta(seconds=WINDOW_SECONDS) * window
    value = {"window_start": start.isoformat(), "page": page, "n": n, "cents": cents}
    return KafkaSinkMessage(page.encode(), json.dumps(value).encode())


def _folded(total: tuple[int, int], click: dict[str, Any]) -> tuple[int, int]:
    return total[0] + 1, total[1] + click["cents"]


def main(broker: str, source: str, target: str, _: str) -> None:
    """Read what is there."""
    flow = Dataflow("clicks")
    messages = op.input("read", flow, KafkaSource([broker], [source], tail=False, batch_size=_BATCH))
    clicks = op.filter_map("parse", messages, lambda message: parsed(message.value))
    windows = windowing.fold_window(
        "windows",
        op.key_on("page", clicks, lambda click: click["page"]),
        windowing.EventClock(lambda click: click["at"], _WAIT),
        windowing.TumblingWindower(timedelta(seconds=WINDOW_SECONDS), _ALIGNED_TO),
        lambda: (0, 0),
        _folded,
        lambda one, other: (one[0] + other[0], one[1] + other[1]),
    )
    op.output("write", op.map("record", windows.down, _record), KafkaSink([broker], target))
    run_main(flow)


if __name__ == "__main__":
    main(*sys.argv[1:])
