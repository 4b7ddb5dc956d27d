"""Has a worker kill itself at a named step of a stream from Kafka to Kafka.

The test puts an empty file with the step's name into a folder; the worker that takes it away dies there, by SIGKILL.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.ingest.kafka.log import KafkaLog
from beam_pipelines.sink.kafka.delivery import Delivery

STEPS = {
    "read": "messages were read, nothing was done with them",
    "sent": "results were given to the producer, none is known to be kept",
    "delivered": "the brokers have the results, the bundle isn't finished",
    "committing": "a checkpoint holds the bundle, its offsets aren't committed",
    "committed": "the offsets are committed",
}


class Mortal(beam.DoFn):
    """Passes batches on, in a process that dies where it is told to."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def setup(self) -> None:
        _arm(Path(self._folder))

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        yield batch


_armed: set[Path] = set()


def _arm(folder: Path) -> None:
    if folder in _armed:
        return
    _armed.add(folder)
    KafkaLog.poll = _deadly(KafkaLog.poll, folder, "", "read")  # type: ignore[method-assign]
    KafkaLog.commit = _deadly(KafkaLog.commit, folder, "committing", "committed")  # type: ignore[method-assign]
    Delivery.send = _deadly(Delivery.send, folder, "", "sent")  # type: ignore[method-assign]
    Delivery.settle = _deadly(Delivery.settle, folder, "", "delivered")  # type: ignore[method-assign]


def _deadly(method: Callable[..., Any], folder: Path, before: str, after: str) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        _die_at(folder, before)
        found = method(*arguments)
        if after != "read" or any(polled.batch.num_rows for polled in found):
            _die_at(folder, after)
        return found

    return called


def _die_at(folder: Path, step: str) -> None:
    try:
        (folder / (step or "never")).rename(folder / f"{step}.died")
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
