"""Runs `windows_job` beside a test, and tells whether all that was written into its topic has come out of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from scripts import processes
from tests.conformance.jobs import ROOT
from tests.ingest.kafka.windows_job import SCHEMA
from tests.servers.kafka import Cluster

Click = dict[str, Any]
Row = tuple[Any, ...]

BASE = datetime(2024, 3, 30, 10, tzinfo=timezone.utc)


@dataclasses.dataclass
class Stream:
    """What is written into the topic, and what has come out."""

    cluster: Cluster
    topic: str
    partitions: int
    seed: int = 1
    clicks: list[Click] = dataclasses.field(default_factory=list)
    poison: int = 0
    base: datetime = BASE
    window: int = 10  # seconds

    @classmethod
    def on(cls, cluster: Cluster, partitions: int = 2, base: datetime = BASE, window: int = 10) -> Stream:
        topic = cluster.topic(partitions)
        for name in ("panes", "late", "dead"):
            cluster.topic(name=f"{topic}-{name}")
        return cls(cluster, topic, partitions, base=base, window=window)

    def write(
        self, clicks: int, first_second: float, disorder: float = 3.0, poison: int = 0, per_second: int = 100
    ) -> None:
        """Write clicks, so many to a second of event time, out of order by so many seconds; among them what is none."""
        dice = random.Random(self.seed)
        self.seed += 1
        records: dict[int, list[tuple[Any, ...]]] = {}
        for number in range(clicks):
            at = self.base + timedelta(seconds=first_second + number / per_second - dice.uniform(0, disorder))
            click = {
                "id": len(self.clicks),
                "at": at.isoformat(),
                "page": dice.choice("abcd"),
                "cents": dice.randrange(1000),
            }
            self.clicks.append(click)
            records.setdefault(dice.randrange(self.partitions), []).append((None, json.dumps(click).encode()))
        for number in range(poison):
            bad = (b"{", b'{"id": 1}', b"\xff\xfe", b'{"id":1,"at":"2024-03-30T10:00:00Z","page":"a","cents":-1}')
            place = records.setdefault(number % self.partitions, [])
            place.insert(dice.randrange(len(place) + 1), (None, bad[number % len(bad)]))
        self.poison += poison
        for partition, theirs in records.items():
            self.cluster.produce(self.topic, theirs, partition, enable_idempotence=True)

    def _read(self, kind: str) -> dict[bytes, dict[str, Any]]:
        """Records by their ids: one that was written twice counts once."""
        found = self.cluster.read(f"{self.topic}-{kind}")
        return {dict(message.headers())["beam-pipelines-id"]: json.loads(message.value()) for message in found}

    def come_out(self) -> tuple[int, int, int]:
        """Clicks in panes, late ones, and dead letters."""
        return sum(pane["n"] for pane in self._read("panes").values()), len(self._read("late")), len(self._read("dead"))

    def wait(self, job: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
        """Wait until all that was written has come out."""
        until = time.monotonic() + seconds
        while (out := self.come_out()) and (out[0] + out[1], out[2]) != (len(self.clicks), self.poison):
            tail = log.read_text(errors="replace")[-3000:]
            assert out[0] + out[1] <= len(self.clicks), f"more than was written: {out}"
            assert job.poll() is None, f"the job ended: {tail}"
            assert time.monotonic() < until, f"{out} of {len(self.clicks)} and {self.poison} bad ones:\n{tail}"
            time.sleep(0.5)

    def check(self) -> None:
        """Panes and late rows, each aggregated again, are what one query over all clicks gives."""
        assert self._totals() == self._expected()
        panes, late, dead = self.come_out()
        assert (panes + late, dead) == (len(self.clicks), self.poison)

    def _expected(self) -> list[Row]:
        clicks = pa.Table.from_pylist(
            [click | {"at": datetime.fromisoformat(click["at"])} for click in self.clicks], SCHEMA
        )
        with duckdb.connect() as database:
            database.register("clicks", clicks)
            return database.execute(
                'select epoch_us("at") // $window * $window, page, count(*), sum(cents), max(id) '
                "from clicks group by 1, 2 order by 1, 2",
                {"window": self.window * 1_000_000},
            ).fetchall()

    def _totals(self) -> list[Row]:
        window = self.window * 1_000_000
        parts = [
            (_micros(pane["window_start"]), pane["page"], pane["n"], pane["cents"], pane["top"])
            for pane in self._read("panes").values()
        ]
        parts += [
            (_micros(click["at"]) // window * window, click["page"], 1, click["cents"], click["id"])
            for click in self._read("late").values()
        ]
        totals: dict[Row, list[int]] = {}
        for start, page, n, cents, top in parts:
            total = totals.setdefault((start, page), [0, 0, -1])
            totals[start, page] = [total[0] + n, total[1] + cents, max(total[2], top)]
        return sorted((*key, *total) for key, total in totals.items())


def _micros(text: str) -> int:
    return round((datetime.fromisoformat(text) - datetime.fromtimestamp(0, timezone.utc)) / timedelta(microseconds=1))


@contextlib.contextmanager
def job(
    stream: Stream, folder: Path, options: str, flags: Sequence[str], broker: str = "", deaths: str = ""
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the job; it is cancelled, and then ended with all that it started."""
    folder.mkdir(parents=True, exist_ok=True)
    log, stop = folder / "job.log", folder / "stop"
    where = broker or stream.cluster.address
    program = [sys.executable, "-m", "tests.ingest.kafka.windows_job"]
    command = [*program, where, stream.topic, str(stop), options, str(stream.window), deaths, *flags]
    with processes.process(command, log, {"PYTHONPATH": str(ROOT)}) as running:
        try:
            yield running, log
        finally:
            stop.touch()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(15)
