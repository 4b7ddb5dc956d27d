"""The graph of the endless pipeline."""

from __future__ import annotations

import time
from pathlib import Path

import apache_beam as beam

from tests.launch.endless import EndlessOptions

_TOO_LONG = 120  # seconds after which it ends by itself, if nobody interrupts it


def _wait(path: str) -> None:
    Path(path).touch()
    for _ in range(_TOO_LONG * 10):
        time.sleep(0.1)


def build(pipeline: beam.Pipeline, options: EndlessOptions) -> None:
    _ = pipeline | beam.Create([options.started]) | beam.Map(_wait)
