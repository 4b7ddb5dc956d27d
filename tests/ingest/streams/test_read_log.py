"""ReadLog in pipelines: a stream that ends, on runners for streams; and what is there now, on any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows

from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.streams.event_times import TIME, PayloadTimes
from beam_pipelines.ingest.streams.read_log import ReadLog
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from tests.ingest.streams.scripted import END, FolderLog, append

FN_API = ["--runner=FnApiRunner"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    append(tmp_path, 0, *range(0, 100, 7), END)
    append(tmp_path, 1, *range(0, 100, 9), END)
    return tmp_path


def _numbers(batch: pa.RecordBatch) -> Iterator[int]:
    for payload in batch.column("__payload").to_pylist():
        yield json.loads(payload)["n"]


EXPECTED = [*range(15), *range(1000, 1012)]


class _Keep(beam.DoFn):
    """Append to a file: workers of the runners these tests use are on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def process(self, value: Any) -> Iterator[None]:
        with self._path.open("a") as file:
            file.write(json.dumps(value) + "\n")
        return iter(())


def _keep(rows: Any, kept: Path, kind: str) -> None:
    rows.good | f"Numbers {kind}" >> beam.FlatMap(_numbers) | f"KeepRows {kind}" >> beam.ParDo(_Keep(kept / kind))
    rows.ledger | f"KeepLedger {kind}" >> beam.ParDo(_Keep(kept / f"{kind}.ledger"))


def _kept(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _check(kept: Path, kind: str) -> None:
    assert sorted(_kept(kept / kind)) == EXPECTED
    ledger = _kept(kept / f"{kind}.ledger")
    assert {tuple(key) for key, _ in ledger} == {("", "ReadLog", "read", "")}
    assert sum(rows for _, rows in ledger) == len(EXPECTED)


@pytest.fixture
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


def test_on_fn_api_runner_a_log_is_read_up_to_now_and_as_a_stream_that_ends(folder: Path, kept: Path) -> None:
    log = FolderLog(str(folder))
    with beam.Pipeline(options=PipelineOptions(FN_API)) as pipeline:
        _keep(pipeline | "Bounded" >> ReadLog(log, bounded=True), kept, "bounded")
        _keep(pipeline | "Stream" >> ReadLog(log), kept, "stream")
        never = FolderLog(str(folder), ends=False)
        _keep(pipeline | "Endless" >> ReadLog(never, bounded=True), kept, "endless")
    for kind in ("bounded", "stream", "endless"):
        _check(kept, kind)


def test_on_prism_windows_close_in_order_as_the_watermark_passes(
    folder: Path, kept: Path, prism_flags: list[str]
) -> None:
    log = FolderLog(str(folder))
    with beam.Pipeline(options=PipelineOptions([*prism_flags, "--streaming"])) as pipeline:
        rows = pipeline | ReadLog(log, policy=WatermarkPolicy(out_of_orderness=10, ahead=None), poll_seconds=0.1)
        _keep(rows, kept, "stream")
        (
            rows.good
            | "At" >> beam.FlatMap(_at)
            | beam.WindowInto(FixedWindows(50))
            | "One" >> beam.Map(lambda _: ("rows", 1))
            | beam.CombinePerKey(sum)
            | "KeepCounts" >> beam.ParDo(_Keep(kept / "counts"))
        )
    _check(kept, "stream")
    assert _kept(kept / "counts") == [["rows", 14], ["rows", 13]]


def _at(batch: pa.RecordBatch) -> Iterator[Any]:
    for payload in batch.column("__payload").to_pylist():
        at = json.loads(payload)["at"]
        yield beam.window.TimestampedValue(at, at)


def test_event_times_of_payloads_are_those_of_the_contracts_field_and_never_when_they_were_published() -> None:
    contract = Contract("events", (Field("n", pa.int64(), required=True), Field("at", TIME, event_time=True)))
    batch = pa.record_batch(
        {
            "__payload": [b'{"at": "2024-01-01T00:00:05Z"}', b'{"n": 1}', b"no json"],
            "__publish_time": pa.array([1, 2, None], TIME),
        }
    )
    times = PayloadTimes(contract, "jsonl")(batch)
    assert times.cast(pa.int64()).to_pylist() == [1_704_067_205_000_000, None, None]


def test_a_contract_without_event_time_is_refused_for_a_stream() -> None:
    with pytest.raises(UsageError, match="a stream needs event times, and no field of <python> is marked"):
        PayloadTimes(Contract("events", (Field("n", pa.int64()),)))


@pytest.mark.parametrize("wrong", [{"max_readers": 0}, {"bundle_bytes": 0}, {"bundle_seconds": 0}])
def test_limits_are_checked_where_the_pipeline_is_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ReadLog(FolderLog("nowhere"), **wrong)
