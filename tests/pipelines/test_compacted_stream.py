"""A stream whose small files are made few while it runs: who follows manifests and records sees each row once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.sink import committed_manifest
from beam_pipelines.sink.care.compacting import compact
from beam_pipelines.sink.care.inventory import live_files, manifests, of_care, published
from tests.pipelines.test_windows import CONTRACT

VISITS, RATE = 24_000, 4_000  # rows, and rows a second: six seconds
START = datetime(2024, 3, 30, 12, tzinfo=timezone.utc)


class _Reader(threading.Thread):
    """Reads the lake again and again, as somebody does who follows manifests and records."""

    def __init__(self, lake: Path) -> None:
        super().__init__()
        self._lake, self._over = lake, threading.Event()
        self.looks: list[int] = []
        self.doubled: Counter[int] = Counter()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                found = followed(self._lake)
            except (UsageError, FileNotFoundError):  # nothing yet; replaced since it was named
                continue
            self.looks.append(len(found))
            self.doubled += Counter({row: times for row, times in found.items() if times > 1})

    def stop(self) -> None:
        self._over.set()
        self.join()


def followed(lake: Path) -> Counter[int]:
    live = live_files(published(str(lake)))
    return Counter(
        number
        for file in live
        if file.folder == "rows"
        for number in pq.ParquetFile(lake / file.path).read(["pages"])["pages"].to_pylist()
    )


def test_a_stream_that_is_compacted_by_itself_and_by_hand_shows_each_row_once_at_any_time(
    tmp_path: Path, prism_flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "visits.odcs.yaml").write_text(CONTRACT)
    lines = [
        json.dumps({"at": (START + timedelta(seconds=number)).isoformat(), "user": "a", "pages": number})
        for number in range(VISITS)
    ]
    (tmp_path / "visits.jsonl").write_text("\n".join(lines) + "\n")
    lake = tmp_path / "lake"
    lake.mkdir()
    by_hand: list[str] = []

    def compact_twice() -> None:
        while len(by_hand) < 2 and committed_manifest(str(lake), "r") is None:
            try:
                made = compact(str(lake), datetime.now(timezone.utc), ["rows", "aggregates"])
            except UsageError:  # nothing is published yet
                continue
            by_hand.extend([] if made is None else [made["run_id"]])

    reader, hand = _Reader(lake), threading.Thread(target=compact_twice)
    reader.start()
    hand.start()
    try:
        told = [
            *("run", "event_analytics", "--input", f"{tmp_path}/visits.jsonl"),
            *("--contract", f"{tmp_path}/visits.odcs.yaml", "--output", str(lake), "--run_id", "r"),
            *("--window", "fixed:10m", "--aggregate", "count(*) as visits", "--compact_every", "1s"),
            *("--replay", "--replay_rate", str(RATE), *prism_flags, "--streaming"),
        ]
        assert main(told) == ExitCode.OK
    finally:
        hand.join()
        reader.stop()
    assert not reader.doubled
    assert reader.looks == sorted(reader.looks), "rows that were there have gone"
    assert len(set(reader.looks)) > 2, "nothing was seen while the stream ran"
    changes = [each["run_id"] for each in manifests(str(lake)) if of_care(each)]
    assert len(by_hand) == 2
    assert set(changes) > set(by_hand), "the stream compacted nothing by itself"
    assert followed(lake) == Counter(range(VISITS))
    capsys.readouterr()
    assert main(["lake", "files", str(lake), "--json"]) == ExitCode.OK
    files = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(file["rows"] for file in files) == VISITS
    manifest = committed_manifest(str(lake), "r")
    assert manifest is not None
    assert len(files) < len([file for file in manifest["files"] if file["folder"] == "rows"])
    assert {Path(file["path"]) for file in files} == set((lake / "rows").rglob("*.parquet"))
    assert main(["report", str(lake), "--run_id", "r", "--to", str(tmp_path / "page.html")]) == ExitCode.OK


def test_what_can_not_be_compacted_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "visits.odcs.yaml").write_text(CONTRACT)
    (tmp_path / "visits.jsonl").write_text('{"at": "2024-03-30T12:00:00Z", "user": "a", "pages": 1}\n')
    told = ["run", "event_analytics", "--input", f"{tmp_path}/visits.jsonl", "--output", str(tmp_path / "lake")]
    told += ["--contract", f"{tmp_path}/visits.odcs.yaml", "--replay", "--compact_every", "10m"]
    assert main([*told, "--output_format", "csv"]) == ExitCode.USAGE
    assert "--compact_every: Parquet is compacted, but --output_format is csv" in capsys.readouterr().err
    assert main(["lake", "files", str(tmp_path / "lake"), "--folder", "row"]) == ExitCode.USAGE
    assert "--folder: a lake has no 'row'. Did you mean 'rows'?" in capsys.readouterr().err
