"""Files replayed as a stream: the rows and dead letters of ReadFiles, in event time as far as files are in order."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.content import ReadOptions
from beam_pipelines.ingest.read_files import ReadFiles
from beam_pipelines.ingest.replay_files import ReplayFiles
from beam_pipelines.ingest.streams.event_times import TIME, PayloadTimes
from beam_pipelines.ingest.streams.reader import LogReader, LogSource
from beam_pipelines.ingest.streams.recorded import RecordedFiles
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy

EVENTS = Contract("events", (Field("n", pa.int64()), Field("at", TIME, event_time=True)))
START = 1_704_067_200  # 2024-01-01T00:00:00Z


def _at(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + second))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [json.dumps({"n": n, "at": _at(n)}).encode() for n in range(0, 200, 2)]
    (tmp_path / "even.jsonl").write_bytes(b"\n".join(lines))
    odd = "n,at\n" + "".join(f"{n},{_at(n)}\n" for n in range(1, 200, 2))
    (tmp_path / "odd.csv").write_text(odd)
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(lines[0] * 3 + b"\n" + lines[3], mtime=0)[:-6])
    (tmp_path / "empty.jsonl").touch()
    return tmp_path


class _Keep(beam.DoFn):
    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._path, self._names = path, names

    def process(self, batch: pa.RecordBatch) -> Iterator[None]:
        with self._path.open("a") as file:
            file.writelines(f"{row!r}\n" for row in batch.select(self._names).to_pylist())
        return iter(())


@pytest.mark.parametrize("runner", ["fn_api", "prism"])
def test_a_replay_has_the_rows_and_dead_letters_of_the_files(
    runner: str, folder: Path, tmp_path_factory: pytest.TempPathFactory, prism_flags: list[str]
) -> None:
    flags = ["--runner=FnApiRunner"] if runner == "fn_api" else [*prism_flags, "--streaming"]
    kept = tmp_path_factory.mktemp("kept")
    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        for name, read in (
            ("files", ReadFiles(f"{folder}/*")),
            ("replay", ReplayFiles(f"{folder}/*", EVENTS, max_batch_rows=7, readers=2, poll_seconds=0.1)),
        ):
            rows = pipeline | name >> read
            rows.good | f"{name} rows" >> beam.ParDo(_Keep(kept / name, ("__payload", "__source", "__position")))
            letters = _Keep(kept / f"{name} letters", ("rule", "payload", "position"))
            rows.dead_letters | f"{name} letters" >> beam.ParDo(letters)
    for kind in ("", " letters"):
        files, replay = (sorted((kept / f"{name}{kind}").read_text().splitlines()) for name in ("files", "replay"))
        assert len(files) == (1 if kind else 201)
        assert replay == files


def _reader(folder: Path, pattern: str = "*", **told: Any) -> LogReader:
    files = RecordedFiles((f"{folder}/{pattern}",), ReadOptions(max_batch_rows=10), **told)
    source = LogSource(files, PayloadTimes(EVENTS), WatermarkPolicy(3, idle_after=0, ahead=None), max_rows=10)
    return source.create_reader(None, None)


def test_files_are_merged_by_time_so_that_nothing_is_late_and_the_watermark_ends_at_the_end(folder: Path) -> None:
    reader = _reader(folder, "[eo]*")
    found, reached = [], Timestamp(0)
    while reader.advance():
        numbers = [json.loads(line)["n"] if b"{" in line else int(line.split(b",")[0]) for line in _payloads(reader)]
        assert START + min(numbers) >= reached
        found += numbers
        reached = max(reached, reader.get_watermark())
        if 60 < len(found) <= 180:
            # Two files are read ten rows at a time: neither is more than a batch, 20 seconds, ahead of the other.
            assert reached >= START + len(found) - 40
    assert sorted(found) == list(range(200))
    assert reader.get_watermark() == MAX_TIMESTAMP


def _payloads(reader: LogReader) -> list[bytes]:
    return reader.get_current().column("__payload").to_pylist()


def test_a_reader_made_from_a_mark_reads_the_rest(folder: Path) -> None:
    whole = _reader(folder)
    rows = []
    while whole.advance():
        rows += _payloads(whole)
    first = _reader(folder)
    found = []
    for _ in range(9):
        assert first.advance()
        found += _payloads(first)
    source = LogSource(RecordedFiles((f"{folder}/*",)), PayloadTimes(EVENTS), WatermarkPolicy(3, ahead=None))
    second = source.create_reader(None, first.get_checkpoint_mark())
    while second.advance():
        found += _payloads(second)
    assert sorted(found) == sorted(rows)


def test_a_replay_that_does_not_end_closes_its_windows_by_the_clock(folder: Path) -> None:
    reader = _reader(folder, ends=False)
    while reader.advance():
        assert reader.get_watermark() < START + 200
    assert START + 200 < reader.get_watermark() < MAX_TIMESTAMP


def test_a_rate_bounds_the_rows_there_are(folder: Path) -> None:
    reader = _reader(folder, "even*", rows_per_second=50.0)
    began, rows = time.monotonic(), 0
    while time.monotonic() - began < 0.5:
        if reader.advance():
            rows += len(_payloads(reader))
        time.sleep(0.01)
    assert 10 <= rows <= 50 * (time.monotonic() - began)


def test_what_can_not_be_replayed_is_said_where_the_pipeline_is_built() -> None:
    with pytest.raises(UsageError, match="a stream needs event times"):
        ReplayFiles("*.jsonl", Contract("events", (Field("n", pa.int64()),)))
    with pytest.raises(UsageError, match="rows_per_second: 0 is not a number"):
        ReplayFiles("*.jsonl", EVENTS, rows_per_second=0)
    with pytest.raises(UsageError, match="no files are named"):
        ReplayFiles([], EVENTS)
