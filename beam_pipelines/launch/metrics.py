"""A run's numbers for Prometheus, while it runs and when it has ended."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from beam_pipelines import progress
from beam_pipelines.launch.arguments import Metrics
from beam_pipelines.launch.watching import Watch
from beam_pipelines.live import prometheus
from beam_pipelines.progress import Series
from beam_pipelines.sink import live_numbers, runs, storage
from beam_pipelines.sink.live_numbers import Snapshot


class Told:
    """What is told of one run, and to whom."""

    def __init__(self, pipeline: str, options: Any, metrics: Metrics) -> None:
        self._pipeline = pipeline
        self._output, self._run_id = getattr(options, "output", None), getattr(options, "run_id", None)
        self._metrics = metrics
        self._before = progress.counts()

    @contextlib.contextmanager
    def while_running(self, watch: Watch) -> Iterator[None]:
        """Serve and push the numbers, as far as that is asked for, until the block ends."""
        asked = self._metrics
        named = self._pipeline, self._run_id or ""
        with contextlib.ExitStack() as stack:
            if asked.port is not None:
                place = prometheus.served(asked.port, asked.host, lambda: self._now(watch), *named)
                port = stack.enter_context(place)
                print(f"numbers for Prometheus at http://{asked.host}:{port}/metrics", file=sys.stderr, flush=True)
            if asked.push is not None:
                stack.enter_context(prometheus.pushed(asked.push, lambda: self._now(watch), *named))
            yield

    def _now(self, watch: Watch) -> Snapshot:
        """The ledger's numbers of a run that is committed; else what workers write down; else what is known here."""
        if self._output and self._run_id:
            settled = _settled(self._output, self._run_id)
            if settled is not None:
                return settled
            written = live_numbers.read(self._output, self._run_id)
            if written:
                return live_numbers.fresh(live_numbers.together(written), time.time())
        here = live_numbers.of_this_process()
        counts = {each: number - self._before.get(each, 0) for each, number in here.counts.items()}
        counts = {each: number for each, number in counts.items() if number}
        if not counts:  # workers elsewhere, whose runner is asked
            counts = {Series(name, ()): number for name, number in watch.counts().items() if number}
        return here._replace(counts=counts)


def _settled(output: str, run_id: str) -> Snapshot | None:
    """The balance of a run that is committed."""
    if not storage.exists(runs.manifest_path(output, run_id)):
        return None
    content = storage.read(f"{runs.run_folder(output, run_id)}/balance.json")
    counts: dict[Series, int] = {}
    for entry in json.loads(content or b'{"stages": []}')["stages"]:
        labels = {name: entry[name] for name in ("stage", "rule") if entry[name]}
        series = Series(entry["outcome"], tuple(sorted(labels.items())))
        counts[series] = counts.get(series, 0) + entry["rows"]
    return Snapshot(time.time(), counts, {})
