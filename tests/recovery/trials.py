"""One stream on a Flink cluster, with its Python workers killed at named moments; and what it left in the lake."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import committed_manifest
from beam_pipelines.sink.care.inventory import LiveFile, live_files, published
from scripts import flink_cluster

ROOT = Path(__file__).parents[2]
CONTRACT = """\
apiVersion: v3.0.2
kind: DataContract
id: visits
name: Visits
version: 1.0.0
status: active
schema:
  - name: visits
    properties:
      - {name: at, logicalType: timestamp, required: true, customProperties: [{property: eventTime, value: true}]}
      - {name: user, logicalType: string, required: true}
      - {name: number, logicalType: integer, required: true}
"""
START = datetime.datetime(2024, 3, 30, 12, tzinfo=datetime.timezone.utc)
ROWS, BAD, RATE = 8_000, 8, 1000  # eight seconds of rows; one in a thousand is a dead letter
PERIOD, HOUR = 20, 3600  # seconds between rows; windows of an hour
CHECKPOINT_MS = 3000  # the recipes' least: with 1000 the source never started
RESTARTS = {
    # Flink's own way waits longer from failure to failure, up to a minute.
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 1_000_000,
    "restart-strategy.fixed-delay.delay": "200 ms",
}
LIMIT = 400.0  # seconds, of one trial; 40 on an idle machine, most of it the start of the workers


def write(folder: Path) -> None:
    """Rows, one in fifty two hours late, and the contract."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "visits.odcs.yaml").write_text(CONTRACT)
    chance, lines = random.Random(7), []
    for number in range(ROWS):
        at = START + datetime.timedelta(seconds=PERIOD * number - (2 * HOUR if chance.random() < 0.02 else 0))
        lines.append(json.dumps({"at": at.isoformat(), "user": chance.choice("abc"), "number": number}))
        if number % (ROWS // BAD) == 0:
            lines.append('{"at": "never"}')
    (folder / "visits.jsonl").write_text("\n".join(lines) + "\n")


@dataclasses.dataclass(frozen=True)
class Left:
    """What readers of the lake find: numbers of rows, hours of panes and late rows together, dead letters."""

    rows: Counter[int]
    hours: Counter[tuple[str, str]]
    letters: int
    late: int

    @property
    def whole(self) -> tuple[Any, ...]:
        """What doesn't depend on which rows were late."""
        return self.rows, self.hours, self.letters


def expected(folder: Path) -> tuple[Any, ...]:
    """What a lake holds of the rows in a folder, late or not (`Left.whole`)."""
    return Counter(range(ROWS)), _expected_hours(folder), BAD


def _expected_hours(folder: Path) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for line in (folder / "visits.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "user" in row:
            found[_hour(datetime.datetime.fromisoformat(row["at"])), row["user"]] += 1
    return found


def _hour(at: datetime.datetime) -> str:
    return at.replace(minute=0, second=0, microsecond=0).isoformat()


def left(lake: Path) -> Left:
    """Read what readers find who follow the manifest, or the records of a stream that goes on."""
    found = None
    while found is None:
        with contextlib.suppress(FileNotFoundError):  # a compaction has just replaced it
            found = _left(lake)
    return found


def _left(lake: Path) -> Left:
    rows: Counter[int] = Counter()
    hours: Counter[tuple[str, str]] = Counter()
    letters = late = 0
    for file in _files(lake):
        folder, table = file.folder, pq.read_table(lake / file.path, partitioning=None)
        if folder == "rows":
            rows.update(table["number"].to_pylist())
        elif folder == "aggregates":
            for start, user, visits in zip(
                *(table[name].to_pylist() for name in ("window_start", "user", "visits")), strict=True
            ):
                hours[start.isoformat(), user] += visits
        elif folder == "late":
            late += table.num_rows
            for at, user in zip(table["at"].to_pylist(), table["user"].to_pylist(), strict=True):
                hours[_hour(at), user] += 1
        else:
            letters += table.num_rows
    return Left(rows, hours, letters, late)


def _files(lake: Path) -> list[LiveFile]:
    try:
        return live_files(published(str(lake)))
    except UsageError:  # nothing has been published yet
        return []


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Flink: the options that choose it, its REST port, its pool of Python workers and its TaskManager."""

    flags: Sequence[str]
    rest: int
    pool: int
    task_manager: int

    def cancel(self, name: str) -> None:
        """Cancel a job where it runs: Beam's job server (2.70) doesn't cancel what runs on a cluster."""
        for job in self._ask("GET", "/jobs/overview")["jobs"]:
            if job["name"] == name and job["state"] not in ("FINISHED", "CANCELED", "FAILED"):
                with contextlib.suppress(OSError):
                    self._ask("PATCH", f"/jobs/{job['jid']}?mode=cancel")

    def start_of(self, name: str) -> int | None:
        """When a job was started last, of which all tasks are at work; None if none is.

        Before that a worker's death isn't noticed: Flink (Beam 2.70) waits three minutes for one that has connected,
        and for ever for one that hasn't.
        """
        for job in self._ask("GET", "/jobs/overview")["jobs"]:
            if job["name"] == name and job["state"] == "RUNNING":
                told = self._ask("GET", f"/jobs/{job['jid']}")
                if all(task["status"] == "RUNNING" for task in told["vertices"]):
                    return int(told["timestamps"]["RUNNING"])
        return None

    def _ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"http://localhost:{self.rest}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start a Flink cluster; its logs and checkpoints are in the folder."""
    with flink_cluster.running(folder, RESTARTS) as flags:
        rest = re.search(r"^rest\.port: (\d+)$", (folder / "config.yaml").read_text(), re.MULTILINE)
        started = children(os.getpid())
        pools = [number for number in started if b"worker_pool_main" in _command_line(number)]
        managers = [number for number in started if b"TaskManagerRunner" in _command_line(number)]
        manager = next(number for number in managers if str(folder).encode() in _command_line(number))
        port = next(flag for flag in flags if "environment_config" in flag).rpartition(":")[2]
        pool = next(number for number in pools if f"--service_port={port}".encode() in _command_line(number))
        assert rest is not None
        yield Cluster(flags, int(rest[1]), pool, manager)


@dataclasses.dataclass(frozen=True)
class Trial:
    """`ended`: the stream's manifest was there, or all its rows were, in time."""

    left: Left
    ended: bool
    seconds: float
    kills: int
    log: str


def run(folder: Path, lake: Path, cluster: Cluster, *, ends: bool, kill_at: Sequence[float] = ()) -> Trial:
    """Run the stream until all is there, killing its worker.

    `kill_at`: seconds from the moment that a worker is at work to its death, one after the other.
    """
    lake.mkdir(parents=True)
    log = lake / "job.log"
    began = time.monotonic()
    kills, waiting, start, kill = 0, list(kill_at), None, 0.0
    ended = False
    with _job(folder, lake, cluster, ends, log) as job:
        while time.monotonic() - began < LIMIT and not ended:
            if waiting and _is_reading(lake):
                found = cluster.start_of(lake.name)
                if found not in (None, start):
                    start, kill = found, time.monotonic() + waiting.pop(0)
            if kill and time.monotonic() >= kill:
                kill = 0.0
                kills += kill_workers(cluster.pool)
            if committed_manifest(str(lake), "r") is not None:
                ended = True
            elif not ends and not waiting and not kill:
                out = left(lake)
                ended = sum(out.hours.values()) >= ROWS and sum(out.rows.values()) >= ROWS
            if job.poll() is not None and not ended:
                ended = committed_manifest(str(lake), "r") is not None
                break
            time.sleep(0.1)
        if ended and not ends:
            time.sleep(2 * CHECKPOINT_MS / 1000)  # would more come than there is?
    return Trial(left(lake), ended, time.monotonic() - began, kills, log.read_text(errors="replace"))


def _is_reading(lake: Path) -> bool:
    return any((lake / "_runs/r/tmp/rows").rglob("*.parquet")) or (lake / "rows").is_dir()


@contextlib.contextmanager
def _job(folder: Path, lake: Path, cluster: Cluster, ends: bool, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    name = lake.name
    command = [
        *(sys.executable, "-m", "beam_pipelines", "run", "event_analytics", "--input", f"{folder}/*.jsonl"),
        *("--contract", f"{folder}/visits.odcs.yaml", "--output", str(lake), "--run_id", "r"),
        *("--window", "fixed:1h", "--group_by", "user", "--aggregate", "count(*) as visits"),
        *("--replay", "--replay_rate", str(RATE), "--idle_after", "3s", f"--replay_ends={str(ends).lower()}"),
        *("--compact_every", "4s"),
        *(*cluster.flags, "--streaming", f"--checkpointing_interval={CHECKPOINT_MS}", f"--job_name={name}"),
        "--finish_bundle_before_checkpointing",
    ]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "BEAM_PIPELINES_TRACEBACK": "1"}
    with log.open("wb") as output:
        job = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=variables, cwd=ROOT
        )
    try:
        yield job
    finally:
        cluster.cancel(name)
        job.send_signal(signal.SIGTERM)
        try:
            job.wait(30)
        except subprocess.TimeoutExpired:
            job.kill()
            job.wait()


def kill_workers(pool: int) -> int:
    """kill -9 the Python workers that a worker pool has started, and wait until they are dead; how many there were."""
    found = children(pool)
    for number in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    while set(found) & set(children(pool)):
        time.sleep(0.01)
    return len(found)


def _command_line(process: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def children(parent: int) -> list[int]:
    """Processes that a process has started and that still run, not those that are dead and wait for its notice."""
    path = Path(f"/proc/{parent}/task")
    with contextlib.suppress(OSError):
        found = [int(each) for task in path.iterdir() for each in (task / "children").read_text().split()]
        return [each for each in found if _state(each) not in ("", "Z", "X")]
    return []


def _state(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return ""
