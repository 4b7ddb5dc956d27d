"""A stream in a process of its own: any source → decode → validate → 10 s windows → files, until one appears.

    python -m tests.ingest.streams.windows_job URI FOLDER --runner=…

Panes, late rows and dead letters are lines of JSON in FOLDER/out; the job ends when FOLDER/stop is there.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

import beam_pipelines as bp
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.pipelines.steps.sources import FileReading, ReadSources
from beam_pipelines.uris import parse_uri
from scripts import processes
from tests.conformance.jobs import ROOT

CONTRACT = bp.Contract(
    "clicks",
    (
        bp.Field("id", pa.int64(), required=True),
        bp.Field("at", pa.timestamp("us", "UTC"), required=True, event_time=True),
        bp.Field("page", pa.string(), required=True),
    ),
)
KINDS = ("panes", "late", "dead")

CHECKPOINTS = ("--checkpointing_interval=3000", "--finish_bundle_before_checkpointing")
"""Of Flink."""


class _Keep(beam.DoFn):
    """One file for each batch, under its name only when it is whole."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind

    def process(self, batch: pa.RecordBatch) -> Iterator[None]:
        rows = batch.to_pylist()
        draft = self._folder / f"{uuid.uuid4()}.draft"
        draft.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
        draft.rename(draft.with_suffix(f".{self._kind}"))
        return iter(())


def build(pipeline: beam.Pipeline, uri: str, out: Path) -> None:
    read = pipeline | ReadSources([parse_uri(uri)], CONTRACT, WatermarkPolicy(2, 2), FileReading())
    valid = read.good | bp.DecodeBatches(CONTRACT) | bp.ValidateBatches(CONTRACT)
    windows = bp.AggregateBatches(
        CONTRACT.schema, "count(*) as n, sum(id) as ids", group_by=["page"], window="fixed:10s", event_time="at"
    )
    aggregates = valid.good | windows
    aggregates.panes | "Panes" >> beam.ParDo(_Keep(out, "panes"))
    aggregates.late | "Late" >> beam.ParDo(_Keep(out, "late"))
    for name, letters in (("Read", read.dead_letters), ("Invalid", valid.dead_letters)):
        letters | f"Dead {name}" >> beam.ParDo(_Keep(out, "dead"))


def read_out(folder: Path, kind: str) -> list[dict[str, Any]]:
    """All rows of a kind that have come out until now."""
    files = sorted((folder / "out").glob(f"*.{kind}"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def wait_for(folder: Path, clicks: int, dead: int, job: subprocess.Popen[bytes], seconds: float = 90) -> None:
    """Wait until as many clicks are in panes or late, and as many letters out, as were written."""
    until = time.monotonic() + seconds
    while True:
        panes, late, letters = (read_out(folder, kind) for kind in KINDS)
        found = (sum(pane["n"] for pane in panes) + len(late), len(letters))
        if found == (clicks, dead):
            return
        log = (folder / "job.log").read_text(errors="replace")[-3000:]
        assert found[0] <= clicks, f"more than was written: {found}"
        assert job.poll() is None, f"the job ended: {log}"
        assert time.monotonic() < until, f"{found} of {clicks} and {dead} bad ones:\n{log}"
        time.sleep(0.3)


def totals(folder: Path, clicks: Iterable[dict[str, Any]]) -> tuple[Counter[str], Counter[str]]:
    """Clicks and sums of ids by page: of what came out, late rows included, and of what was written."""
    found, written = Counter[str](), Counter[str]()
    for pane in read_out(folder, "panes"):
        found.update({f"n {pane['page']}": pane["n"], f"ids {pane['page']}": pane["ids"]})
    for click in read_out(folder, "late"):
        found.update({f"n {click['page']}": 1, f"ids {click['page']}": click["id"]})
    for click in clicks:
        written.update({f"n {click['page']}": 1, f"ids {click['page']}": click["id"]})
    return found, written


@contextlib.contextmanager
def job(uri: str, folder: Path, flags: Sequence[str], **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the job; it is cancelled, and then ended with all that it started."""
    (folder / "out").mkdir(parents=True)
    command = [sys.executable, "-m", "tests.ingest.streams.windows_job", uri, str(folder), *flags]
    with processes.process(command, folder / "job.log", {"PYTHONPATH": str(ROOT), **variables}) as running:
        try:
            yield running
        finally:
            (folder / "stop").touch()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(15)


def main(uri: str, folder: str, *flags: str) -> None:
    pipeline = beam.Pipeline(options=PipelineOptions([*flags, "--streaming"]))
    build(pipeline, uri, Path(folder, "out"))
    running = pipeline.run()
    while not Path(folder, "stop").exists():
        time.sleep(0.2)
        assert not PipelineState.is_terminal(running.state), running.state
    running.cancel()


if __name__ == "__main__":
    main(*sys.argv[1:])
