"""WatchFiles in pipelines: what is there now on any runner, and as a stream on Prism; from a URI of `--input` too."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

import beam_pipelines as bp
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.watch_files import pattern_of
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.uris import parse_uri
from tests.conformance import kept
from tests.ingest.streams import windows_job

BASE = datetime(2024, 3, 30, 10, tzinfo=timezone.utc)
CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: clicks
version: 1.0.0
status: active
schema:
  - name: clicks
    properties:
      - {name: id, logicalType: integer, required: true}
      - {name: at, logicalType: timestamp, required: true, customProperties: [{property: eventTime, value: true}]}
"""


def _clicks(first: int, number: int) -> list[dict[str, Any]]:
    return [
        {"id": each, "at": (BASE + timedelta(milliseconds=10 * each)).isoformat(), "page": "ab"[each % 2]}
        for each in range(first, first + number)
    ]


def _drop(folder: Path, name: str, clicks: list[dict[str, Any]], bad: int = 0) -> None:
    """Write as those do who know that they are watched: under another name, and then moved."""
    draft = folder / f"{name}.tmp"
    draft.write_text("".join(f"{json.dumps(click)}\n" for click in clicks) + "{\n" * bad)
    draft.rename(folder / name)


def test_a_stream_of_files_on_prism(tmp_path: Path, prism_flags: list[str]) -> None:
    folder, run = tmp_path / "in", tmp_path / "run"
    folder.mkdir()
    _drop(folder, "0.jsonl", _clicks(0, 2000), bad=2)
    uri = f"watch://{folder}/*.jsonl?every=0.5&settled=0&readers=2"
    with windows_job.job(uri, run, prism_flags) as job:
        windows_job.wait_for(run, 2000, 2, job)  # windows close by the clock when nothing comes
        for number in range(1, 6):
            _drop(folder, f"{number}.jsonl", _clicks(2000 * number, 2000), bad=1)
        windows_job.wait_for(run, 12_000, 7, job)
        _drop(folder, "0.jsonl", _clicks(0, 10))
        windows_job.wait_for(run, 12_000, 8, job)
    found, written = windows_job.totals(run, _clicks(0, 12_000))
    assert found == written
    rules = Counter(letter["rule"] for letter in windows_job.read_out(run, "dead"))
    assert rules == {"json.malformed": 7, "file.replaced": 1}


def test_a_stream_of_files_on_flink_with_checkpoints(tmp_path: Path, flink_flags: list[str]) -> None:
    folder, run = tmp_path / "in", tmp_path / "run"
    folder.mkdir()
    _drop(folder, "0.jsonl", _clicks(0, 2000), bad=2)
    uri = f"watch://{folder}/*.jsonl?every=0.5&settled=0"
    with windows_job.job(uri, run, [*flink_flags, *windows_job.CHECKPOINTS]) as job:
        windows_job.wait_for(run, 2000, 2, job)
        _drop(folder, "1.jsonl", _clicks(2000, 2000), bad=1)
        windows_job.wait_for(run, 4000, 3, job)
    found, written = windows_job.totals(run, _clicks(0, 4000))
    assert found == written


def test_an_input_that_is_watched_up_to_now_gives_what_its_files_give(tmp_path: Path) -> None:
    (tmp_path / "c.odcs.yaml").write_text(CONTRACT)
    folder = tmp_path / "in"
    folder.mkdir()
    _drop(folder, "a.jsonl", _clicks(0, 50), bad=1)
    (folder / "b.csv").write_text("at,id\n2024-03-30T10:00:00Z,7\n2024-03-30T10:00:00Z,x\n")
    results = []
    for name, source in (("files", f"{folder}/*"), ("watched", f"watch://{folder}/*?bounded=true&settled=0")):
        lake = tmp_path / name
        told = ["run", "event_analytics", "--input", source, "--contract", f"{tmp_path}/c.odcs.yaml"]
        assert main([*told, "--output", str(lake), "--run_id", "r"]) == ExitCode.OK
        balance = json.loads((lake / "_runs" / "r" / "balance.json").read_text())
        results.append({key: balance[key] for key in ("read", "written", "dead_lettered")})
    assert results[0] == results[1]
    assert results[0]["read"] == 53


def test_young_files_are_waited_for_when_reading_up_to_now_and_growing_ones_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    _drop(folder, "a.jsonl", _clicks(0, 3))
    _drop(folder, "c.part", _clicks(3, 3))
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | bp.WatchFiles(f"watch://{folder}/*?bounded=true&settled=0.3")
        kept.keep({"rows": read.good | beam.Map(lambda batch: batch.select(["__position"]))}, tmp_path)
    assert len(kept.read(tmp_path, "rows")) == 3


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("watch://", "names no files"),
        ("watch+gs://", "names no files"),
        ("watch:///in/*.csv?evry=5", "?evry is not an option of watch://. Did you mean '?every'"),
        ("watch:///in/*.csv?every=0", "?every: 0.0 is not a number of seconds from 0.1 on"),
        ("watch:///in/*.csv?changed=ignore", "?changed: 'ignore' is not one of dead_letter, read"),
        ("watch+ftp://host/*.csv", "there is nothing for this scheme. Did you mean"),
    ],
)
def test_a_uri_that_can_not_be_watched_says_what_is_wrong(uri: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        bp.WatchFiles(uri)
    assert problem in str(caught.value)


def test_a_uri_names_files_as_beam_does() -> None:
    for uri, pattern in {
        "watch:///data/%3F/*.csv?every=1": "/data/?/*.csv",
        "watch://*.csv": "*.csv",
        "watch+gs://bucket/in/**.jsonl?every=60": "gs://bucket/in/**.jsonl",
        "watch+azfs://account/container/*": "azfs://account/container/*",
    }.items():
        parsed = parse_uri(uri)
        assert pattern_of(parsed) == pattern
        assert pattern_of(parse_uri(str(parsed))) == pattern
