"""ReadFromKinesis in pipelines: up to now on any runner, and as a stream on Prism while shards are split and merged."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import apache_beam as beam
import pytest

import beam_pipelines as bp
from tests.conformance import kept
from tests.ingest.streams import windows_job
from tests.servers.kinesis import Kinesis

BASE = datetime(2024, 3, 30, 10, tzinfo=timezone.utc)


def _clicks(first: int, number: int) -> list[dict[str, object]]:
    return [
        {"id": each, "at": (BASE + timedelta(milliseconds=10 * each)).isoformat(), "page": "ab"[each % 2]}
        for each in range(first, first + number)
    ]


def _put(kinesis: Kinesis, stream: str, first: int, number: int, bad: int = 0) -> None:
    kinesis.put(stream, [json.dumps(click).encode() for click in _clicks(first, number)] + [b"{"] * bad)


def test_what_is_there_now_is_read_of_all_shards_also_of_those_that_ended(
    kinesis: Kinesis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in kinesis.variables.items():
        monkeypatch.setenv(name, value)
    stream = kinesis.stream(2)
    kinesis.put(stream, [b"%d" % number for number in range(300)])
    kinesis.split(stream, "shardId-000000000001")
    kinesis.put(stream, [b"%d" % number for number in range(300, 600)])
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | bp.ReadFromKinesis(kinesis.uri(stream, "bounded=true"))
        rows = read.good | beam.FlatMap(lambda batch: [each.decode() for each in batch.column("__payload").to_pylist()])
        kept.keep({"rows": rows, "ledger": read.ledger}, tmp_path)
    assert sorted(map(int, kept.read(tmp_path, "rows"))) == list(range(600))
    assert kept.read(tmp_path, "ledger") == kept.texts([(("", "ReadFromKinesis", "read", ""), 600)])


def test_a_stream_on_prism_while_its_shards_are_split_and_merged(
    kinesis: Kinesis, tmp_path: Path, prism_flags: list[str]
) -> None:
    stream = kinesis.stream(2)
    _put(kinesis, stream, 0, 2000, bad=2)
    with windows_job.job(kinesis.uri(stream), tmp_path, prism_flags, **kinesis.variables) as job:
        windows_job.wait_for(tmp_path, 2000, 2, job)
        kinesis.split(stream, "shardId-000000000000")
        _put(kinesis, stream, 2000, 2000, bad=1)
        kinesis.merge(stream, "shardId-000000000003", "shardId-000000000001")
        _put(kinesis, stream, 4000, 2000)
        windows_job.wait_for(tmp_path, 6000, 3, job)
    found, written = windows_job.totals(tmp_path, _clicks(0, 6000))
    assert found == written
    assert Counter(letter["rule"] for letter in windows_job.read_out(tmp_path, "dead")) == {"json.malformed": 3}


def test_a_stream_on_flink_with_checkpoints_while_a_shard_is_split(
    kinesis: Kinesis, tmp_path: Path, flink_flags: list[str]
) -> None:
    stream = kinesis.stream(1)
    _put(kinesis, stream, 0, 2000, bad=2)
    flags = [*flink_flags, *windows_job.CHECKPOINTS]
    with windows_job.job(kinesis.uri(stream), tmp_path, flags, **kinesis.variables) as job:
        windows_job.wait_for(tmp_path, 2000, 2, job)
        kinesis.split(stream, "shardId-000000000000")
        _put(kinesis, stream, 2000, 2000, bad=1)
        windows_job.wait_for(tmp_path, 4000, 3, job)
    found, written = windows_job.totals(tmp_path, _clicks(0, 4000))
    assert found == written
