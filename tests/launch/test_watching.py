"""Live progress: the numbers are those of the stages, drawn on a terminal and plain elsewhere."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_pipelines import progress
from beam_pipelines.launch import watching
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: numbers
version: 1.0.0
status: active
schema:
  - name: numbers
    properties:
      - {name: n, logicalType: integer, required: true}
"""


@pytest.fixture
def numbers(tmp_path: Path) -> list[str]:
    (tmp_path / "numbers.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(50_000)) + '{"n": "x"}\n')
    (tmp_path / "numbers.odcs.yaml").write_text(CONTRACT)
    return [
        "run",
        "event_analytics",
        f"--input={tmp_path / 'numbers.jsonl'}",
        f"--contract={tmp_path / 'numbers.odcs.yaml'}",
        f"--output={tmp_path / 'lake'}",
    ]


def test_plain_lines_tell_what_was_counted_since_the_watch_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PLAIN_SECONDS", 0.02)
    progress.count("read", 1_000_000)
    stream = io.StringIO()
    with watching.watched(None, stream):
        progress.count("read", 1_234)
        progress.count("dead_lettered", 5)
        time.sleep(0.2)
    last = stream.getvalue().splitlines()[-1]
    assert re.fullmatch(r"0 s: 1,234 rows read, [\d,]+ rows/s, 5 dead letters", last)


def test_a_runner_that_counts_elsewhere_is_asked_and_may_fail() -> None:
    watch = watching.Watch()
    watch.follow(lambda: {"read": 7})
    assert watch.counts() == {"read": 7}
    broken = watching.Watch()
    broken.follow(lambda: 1 // 0)
    assert broken.counts() == {}


def test_the_time_left_follows_from_the_bytes_read() -> None:
    assert watching.told({"read": 10, "bytes": 250}, 5.0, 1_000).endswith("about 15 s left")
    assert watching.told({"read": 10, "bytes": 1_000}, 5.0, 1_000).endswith("all read")


def test_the_stages_of_a_run_are_counted_in_this_process(numbers: list[str]) -> None:
    before = progress.counted()
    assert main(numbers) == ExitCode.OK
    after = {name: number - before.get(name, 0) for name, number in progress.counted().items()}
    assert (after["read"], after["dead_lettered"]) == (50_001, 1)
    assert after["bytes"] >= Path(numbers[2].partition("=")[2]).stat().st_size - 50_001


def test_on_a_terminal_progress_is_drawn_and_gone_at_the_end(numbers: list[str]) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "beam_pipelines", *numbers],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                drawn += (got := os.read(ours, 65_536))
            except OSError:  # the other end is closed
                break
            if not got:
                break
        assert process.stdout is not None
        out = process.stdout.read().decode()
    os.close(ours)
    assert process.returncode == ExitCode.OK
    assert "50,001 read = 50,000 written + 1 dead-lettered" in out
    assert b"rows read" in drawn or b"starting" in drawn
    assert drawn.rstrip().endswith((b"\x1b[2K", b"\x1b[?25h", b"\x1b[1A\x1b[2K"))


def test_a_dry_run_draws_the_graph_and_leaves_nothing(numbers: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*numbers, "--dry_run"]) == ExitCode.OK
    told = capsys.readouterr().out
    assert "Nothing was read or written" in told
    assert "Read  ReadFiles\n├─ " in told
    assert re.search(r"^└─ Decode  DecodeBatches$", told, re.MULTILINE)
    assert "WriteRows  WriteToLake(rows)" in told
    assert not Path(numbers[4].partition("=")[2]).exists()


def test_a_dry_run_finds_what_is_wrong(numbers: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*numbers, "--dry_run", "--aggregate=sum(m) as total"]) == ExitCode.USAGE
    assert "m" in capsys.readouterr().err
    assert main([*numbers[:2], "--input=/nowhere/*.jsonl", *numbers[3:], "--dry_run"]) == ExitCode.USAGE
    assert "/nowhere/*.jsonl" in capsys.readouterr().err
