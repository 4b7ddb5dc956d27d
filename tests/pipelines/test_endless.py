"""`event_analytics` of a topic that never ends: its lake is there while it runs, and is the batch's in the end."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from scripts import processes
from tests.conformance.jobs import ROOT
from tests.pipelines.test_windows import CONTRACT
from tests.servers.kafka import Kafka

START = datetime(2024, 3, 30, 12, tzinfo=timezone.utc)
SECONDS = 300  # on a machine that is busy with other tests
VISITS = 300


def _visits(first: int) -> list[tuple[None, bytes]]:
    """A visit every second, and one message that is none."""
    visits = [
        {"at": (START + timedelta(seconds=number)).isoformat(), "user": "ab"[number % 2], "pages": number}
        for number in range(first, first + VISITS)
    ]
    return [*((None, json.dumps(visit).encode()) for visit in visits), (None, b"{")]


def _published(lake: Path, folder: str) -> list[dict[str, Any]]:
    """Rows of the files that records name: what readers of a stream go by."""
    records = [json.loads(path.read_text()) for path in (lake / "_runs/r/stream").glob("*.json")]
    files = [file for record in records for file in record["files"] if file[0] == folder and file[3]]
    tables = [pq.read_table(lake / file[2]) for file in files]
    return pa.concat_tables(tables).to_pylist() if tables else []


def test_a_stream_without_an_end_is_published_while_it_runs_on_prism(
    broker: Kafka, tmp_path: Path, prism_flags: list[str]
) -> None:
    topic, lake, log = broker.topic(), tmp_path / "lake", tmp_path / "log"
    (tmp_path / "visits.odcs.yaml").write_text(CONTRACT)
    command = [
        *(sys.executable, "-m", "beam_pipelines", "run", "event_analytics", "--input", broker.uri(topic)),
        *("--contract", f"{tmp_path}/visits.odcs.yaml", "--output", str(lake), "--run_id", "r"),
        *("--window", "fixed:1m", "--group_by", "user", "--aggregate", "count(*) as visits", *prism_flags),
        "--streaming",
    ]
    broker.produce(topic, _visits(0))
    with processes.process(command, log, {"PYTHONPATH": str(ROOT)}) as job:
        until = time.monotonic() + SECONDS

        def wait(rows: int, panes: int) -> None:
            while True:
                found = [len(_published(lake, "rows")), sum(pane["visits"] for pane in _published(lake, "aggregates"))]
                if found[0] == rows and found[1] >= panes:
                    return
                assert job.poll() is None, log.read_text()
                assert time.monotonic() < until, f"{found}, not {rows} rows and {panes} in panes:\n{log.read_text()}"
                time.sleep(0.2)

        wait(VISITS, VISITS - 60)  # the last window waits for what comes next
        broker.produce(topic, _visits(VISITS))
        wait(2 * VISITS, 2 * VISITS - 60)
        job.send_signal(signal.SIGINT)
        job.wait(30)
    rows = _published(lake, "rows")
    assert Counter(row["pages"] for row in rows) == Counter(range(2 * VISITS))
    assert len(_published(lake, "dead_letters")) == 2


def test_an_endless_topic_has_parity_with_its_batch_late_rows_aggregated_anew(
    broker: Kafka, tmp_path: Path, prism_flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    topic = broker.topic()
    (tmp_path / "visits.odcs.yaml").write_text(CONTRACT)
    for first in (0, VISITS, VISITS // 2):  # the last ones are late, or their windows were told before
        broker.produce(topic, _visits(first))
    stream = shlex.join(["--input", broker.uri(topic), "--idle_after", "3s", *prism_flags, "--streaming"])
    command = [
        *("parity", "event_analytics", "--contract", f"{tmp_path}/visits.odcs.yaml", "--window", "fixed:1m"),
        *("--group_by", "user", "--aggregate", "count(*) as visits, sum(pages) as pages", "--timeout", str(SECONDS)),
        *("--left", f"--input {broker.uri(topic, 'bounded=true')}", "--right", stream),
    ]
    assert main(command) == ExitCode.OK, capsys.readouterr().out
    told = capsys.readouterr().out
    assert f"equal      rows: {3 * VISITS}" in told
    assert "equal      dead letters: 3" in told
    assert "right  a stream, stopped when all was published" in told
    assert told.endswith("the two sides are equal\n")
