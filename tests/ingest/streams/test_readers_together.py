"""Several readers of one stream: what one of them has still to bring isn't late, or lost, because another is ahead."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.timestamp import MAX_TIMESTAMP

import beam_pipelines as bp
from beam_pipelines.columnar.source_watermark import source_watermark
from beam_pipelines.ingest.streams import together
from beam_pipelines.ingest.streams.event_times import TIME, publish_times
from beam_pipelines.ingest.streams.read_log import ReadLog
from beam_pipelines.ingest.streams.reader import LogReader, LogSource
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from tests.ingest.streams.scripted import END, SECOND, FolderLog, append

_LIMIT = 60.0  # seconds, on a machine that is busy


class _Keep(beam.DoFn):
    """Append to a file: the worker of Prism is on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def process(self, batch: pa.RecordBatch) -> Iterator[None]:
        with self._path.open("a") as file:
            file.writelines(json.dumps(row, default=str) + "\n" for row in batch.to_pylist())
        return iter(())


def _timed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Only the event time, and what a batch of the source says with it."""
    times = batch.column("__publish_time")
    return pa.RecordBatch.from_arrays([times], schema=pa.schema([("at", TIME)], batch.schema.metadata))


class _Found(NamedTuple):
    panes: Counter[str]  # start of the window → rows
    late: int


def _run(log: FolderLog, policy: WatermarkPolicy, window: str, publish: Callable[[], None], flags: list[str]) -> _Found:
    """Count rows by window while they are published, until the stream ends."""
    kept = Path(log.folder).with_name("kept")
    kept.mkdir()
    publishing = threading.Thread(target=publish)
    publishing.start()
    with beam.Pipeline(options=PipelineOptions([*flags, "--streaming"])) as pipeline:
        # A bundle for each poll: readers that begin together don't stay so, as one that finds rows doesn't rest.
        read = pipeline | ReadLog(
            log, publish_times, policy, bundle_bytes=1 << 20, max_batch_bytes=1 << 20, poll_seconds=0.3
        )
        rows = (
            read.good | beam.Filter(lambda batch: batch.num_rows) | beam.Map(_timed).with_output_types(pa.RecordBatch)
        )
        found = rows | bp.AggregateBatches(pa.schema([("at", TIME)]), "count(*) as n", window=window, event_time="at")
        found.panes | "Panes" >> beam.ParDo(_Keep(kept / "panes"))
        found.late | "Late" >> beam.ParDo(_Keep(kept / "late"))
    publishing.join(_LIMIT)
    panes = Counter[str]()
    for pane in _rows(kept / "panes"):
        panes[str(pane["window_start"])] += int(str(pane["n"]))
    return _Found(panes, len(_rows(kept / "late")))


def _rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


def test_on_prism_the_watermark_waits_for_the_reader_that_is_most_behind(folder: Path, prism_flags: list[str]) -> None:
    append(folder, 0, 0)
    append(folder, 1, 0)
    ahead = range(20, 200, 20)

    def publish() -> None:
        for number, second in enumerate(ahead):
            append(folder, 0, second)
            _until(lambda number=number: _committed(folder, "0") > number)
        append(folder, 1, 5, END)
        append(folder, 0, END)

    policy = WatermarkPolicy(out_of_orderness=0, ahead=None)
    found = _run(FolderLog(str(folder)), policy, "fixed:10s", publish, prism_flags)
    assert found.late == 0
    assert found.panes["1970-01-01 00:00:00+00:00"] == 3
    assert (len(found.panes), found.panes.total()) == (1 + len(ahead), 3 + len(ahead))


def test_on_prism_no_row_is_lost_of_a_reader_that_came_back_while_another_was_idle(
    folder: Path, prism_flags: list[str]
) -> None:
    begun = int(time.time())
    append(folder, 0, begun)
    append(folder, 1, begun)

    def publish() -> None:
        _until(lambda: _committed(folder, "0") == _committed(folder, "1") == 1)
        append(folder, 0, int(time.time()))
        since = int(time.time())
        # The first reader is idle, so its watermark goes with the clock: past the windows of what is published here.
        _until(lambda: time.time() > since + 8)
        append(folder, 1, *range(since + 3, since + 6), END)
        append(folder, 0, END)

    policy = WatermarkPolicy(out_of_orderness=0, idle_after=0.5)
    found = _run(FolderLog(str(folder), unasked=("1",)), policy, "fixed:1s", publish, prism_flags)
    assert (found.panes.total(), found.late) == (6, 0)


def test_a_reader_reports_no_more_than_the_others_have_promised_and_the_runner_has(folder: Path) -> None:
    append(folder, 0, 50)
    append(folder, 1, 10)
    first, second = _readers(folder)
    assert first.start()
    assert first.get_watermark().micros < 0  # the other one hasn't begun
    assert second.start()
    assert second.get_watermark().micros < 0  # nothing of either is with the runner yet
    for reader in (first, second):
        reader.get_checkpoint_mark()
        assert not reader.advance()
    assert first.get_watermark().micros == second.get_watermark().micros == 10 * SECOND


def test_a_batch_tells_the_watermark_that_its_reader_promised_so_far_as_the_runner_may_be(folder: Path) -> None:
    append(folder, 0, 50)
    append(folder, 1, 10)
    first, second = _readers(folder)
    for reader in (first, second):
        assert reader.start()
        assert reader.get_watermark().micros < 0
        reader.get_checkpoint_mark()
    append(folder, 0, 60)
    assert first.advance()
    assert source_watermark(first.get_current()) == 50 * SECOND


def test_a_reader_that_ended_holds_nobody_up(folder: Path) -> None:
    append(folder, 0, 50)
    append(folder, 1, 10, END)
    first, second = _readers(folder)
    assert second.start()
    assert second.get_watermark().micros < 0  # its rows have to be with the runner first
    second.get_checkpoint_mark()
    assert not second.advance()
    assert second.get_watermark() == MAX_TIMESTAMP
    second.close()
    assert first.start()
    assert first.get_watermark().micros == 50 * SECOND


def test_a_reader_that_went_to_another_process_holds_nobody_up_for_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(folder, 0, 50)
    append(folder, 1, 10)
    here, _ = _readers(folder)
    assert here.start()
    assert here.get_watermark().micros < 0
    monkeypatch.setattr(together, "GONE_SECONDS", 0.0)
    assert here.get_watermark().micros == 50 * SECOND


def _readers(folder: Path) -> list[LogReader]:
    source = LogSource(FolderLog(str(folder)), policy=WatermarkPolicy(out_of_orderness=0, ahead=None))
    return [part.create_reader(None, None) for part in source.split(2)]


def _committed(folder: Path, partition: str) -> int:
    """How many rows of a partition the runner has."""
    path = folder / "committed"
    lines = path.read_text().splitlines() if path.exists() else []
    return max((json.loads(line).get(partition, 0) for line in lines), default=0)


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + _LIMIT
    while not true():
        assert time.monotonic() < until, "it didn't come true in time"
        time.sleep(0.05)
