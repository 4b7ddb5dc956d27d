"""The graph of the tiny pipeline."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam

from beam_pipelines.errors import ContractError, UsageError
from beam_pipelines.sink import BalanceError, OutputError
from tests.launch.tiny import TinyOptions

FAILURES = {
    "usage": UsageError("--numbers: too many of them:\n  every one"),
    "contract": ContractError("orders.yaml", ["line 3: no such type", "line 7: twice"]),
    "bug": ZeroDivisionError("division by zero"),
    "balance": BalanceError("rows: read 3 is not 2 written"),
    "output": OutputError("no space left in lake"),
}


class _Write(beam.DoFn):
    def __init__(self, path: str, fail: str) -> None:
        self._path = path
        self._fail = fail

    def process(self, total: int) -> None:
        if self._fail in FAILURES:
            raise FAILURES[self._fail]
        Path(self._path).write_text(str(total))


def build(pipeline: beam.Pipeline, options: TinyOptions) -> None:
    numbers = pipeline | beam.Create(range(1, options.numbers + 1))
    _ = numbers | beam.CombineGlobally(sum) | "Write" >> beam.ParDo(_Write(options.result, options.fail))
