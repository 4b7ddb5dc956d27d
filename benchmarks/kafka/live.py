"""The stream as it runs: the highest rate that it holds, when windows come out, and what memory it takes.

Clicks are written at a steady rate, their event time being that of writing. What waits is what was written less the
offsets that the job has committed. A window's result is in time by when the broker appended it to its topic.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import psutil
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.kafka import figures, messages
from benchmarks.kafka.rules import WINDOW_SECONDS
from benchmarks.kafka.steady import Clicks
from benchmarks.results import ROOT
from scripts import processes
from scripts.kafka import Broker

QUICK = "out_of_orderness=0.2&readers=1&bundle=0.3&poll=0.1"
"""Options of the URI for early results."""

USUAL = ""
"""All options at their defaults."""

PATH = ROOT / "benchmarks" / "kafka" / "streams.json"

_GROUP = "bench"
_FIRST, _MOST = 5_000, 160_000  # messages a second
_STEP = 12.0  # seconds of one rate
_WAITING = 3.0  # seconds of messages that may wait at the end of a step; bundles of QUICK under way are part of it
_LATE = 30  # seconds after which the last window has come out
_NOT_YET = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
"""What a broker says of offsets that has just begun."""
_LOOK = 1.0  # seconds between looks at backlog and memory
_LIMIT = 180.0  # seconds to start, and to work off what waits
_SLOW = 1000  # messages a second while the job starts
_KEPT = {  # of a topic, so that the disk isn't filled
    "segment.bytes": str(64 << 20),
    "retention.bytes": str(512 << 20),
    "file.delete.delay.ms": "1000",
}


@dataclasses.dataclass(frozen=True)
class Streamed:
    """One run. Latencies are seconds beyond a window's end, over its records; memory is in MB."""

    what: str
    options: str
    measured: str
    highest_rate: int | None
    rate: int
    seconds: int
    windows: int
    records: int
    p50: float
    p99: float
    latest: float
    exact: bool
    """Whether each window has as many clicks as were written, once."""
    worker: tuple[float, float, float]
    """Resident memory of the worker's process: medians of the first and last third, and the maximum."""
    runner: tuple[float, float, float]
    load: float
    """Of the machine, when it ended: processes that want to run, on average over five minutes."""


class Running:
    """A broker, the job and its clicks."""

    def __init__(self, folder: Path, broker: Broker, job: subprocess.Popen[bytes], clicks: Clicks) -> None:
        self.clicks = clicks
        self._folder, self._broker, self._job = folder, broker, job
        self._offsets = Consumer({"bootstrap.servers": broker.address, "group.id": _GROUP, "log_level": 2})
        self._places = [TopicPartition("in", each) for each in range(messages.PARTITIONS)]
        self.worker: list[int] = []
        self.runner: list[int] = []

    def backlog(self) -> int:
        """Messages that were written and whose offsets the job hasn't committed."""
        if self._job.poll() is not None:
            raise SystemExit(f"the job ended:\n{self._log()}")
        return self.clicks.written - self._committed()

    def begin(self) -> None:
        """Wait until the job has committed something."""
        until = time.monotonic() + _LIMIT
        while not self._committed():
            if time.monotonic() > until:
                raise SystemExit(f"nothing was committed in {_LIMIT:.0f} s:\n{self._log()}")
            time.sleep(_LOOK)
        self.settle()

    def close(self) -> None:
        """Leave the broker."""
        self._offsets.close()

    def _committed(self) -> int:
        try:
            found = self._offsets.committed(self._places, 10)
        except KafkaException as error:
            if error.args[0].code() in _NOT_YET:
                return 0
            raise
        return sum(max(0, place.offset) for place in found)

    def _log(self) -> str:
        return (self._folder / "job.log").read_text(errors="replace")[-3000:]

    def settle(self) -> None:
        """Write nothing until what waits is worked off."""
        self.clicks.rate = 0
        until = time.monotonic() + _LIMIT
        while self.backlog():
            if time.monotonic() > until:
                raise SystemExit(f"{self.backlog():,} messages still wait after {_LIMIT:.0f} s")
            time.sleep(_LOOK)

    def holds(self, rate: int) -> bool:
        """Write at this rate for a step, and tell if the backlog stays; what it leaves is worked off."""
        self.clicks.rate, self.clicks.behind = rate, 0.0
        backlogs = []
        until = time.monotonic() + _STEP
        while time.monotonic() < until:
            time.sleep(_LOOK)
            backlogs.append(self.backlog())
        writer = self.clicks.holds
        held = writer and figures.is_steady(backlogs[-4:], rate, _WAITING)
        said = "held" if held else "not held" if writer else "not written: the writer was behind"
        print(f"{rate:>8,} messages a second: {said}; {min(backlogs[-4:]):,} waited", flush=True)
        if not held:
            self.settle()
        return held

    def look(self) -> None:
        """Note the memory of the worker, and of the runner that it started."""
        worker = psutil.Process(self._job.pid)
        self.worker.append(round(worker.memory_info().rss / 1e6))
        self.runner.append(round(sum(each.memory_info().rss for each in worker.children(recursive=True)) / 1e6))

    def windows(self, since: int, until: int) -> tuple[list[float], bool]:
        """Seconds beyond the window's end of each record of these windows; and whether they count all clicks, once."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._broker.address,
                "group.id": "reader",
                "enable.partition.eof": True,
                "log_level": 2,
            }
        )
        consumer.assign([TopicPartition("out", 0, 0)])
        found: dict[int, int] = defaultdict(int)
        latencies, at_end = [], False
        while not at_end:
            for message in consumer.consume(10_000, 1):
                if message.error() is not None:
                    at_end = True
                    continue
                total = json.loads(message.value())
                start = round(datetime.fromisoformat(total["window_start"]).timestamp())
                if since <= start < until:
                    found[start] += total["n"]
                    latencies.append(message.timestamp()[1] / 1000 - start - WINDOW_SECONDS)
        consumer.close()
        wrong = [start for start in range(since, until, WINDOW_SECONDS) if found[start] != self.clicks.good[start]]
        for start in wrong:
            print(f"the window of {start} counts {found[start]:,}, not {self.clicks.good[start]:,}", flush=True)
        return latencies, not wrong


@contextlib.contextmanager
def _running(options: str) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as home, contextlib.ExitStack() as stack:
        folder = Path(home)
        broker = Broker(folder / "kafka", settings={"log.retention.check.interval.ms": 5000})
        broker.start()
        stack.callback(broker.stop)
        admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 2})
        topics = [
            NewTopic("in", messages.PARTITIONS, 1, config=_KEPT),
            NewTopic("out", 1, 1, config={"message.timestamp.type": "LogAppendTime"}),
        ]
        for created in admin.create_topics(topics).values():
            created.result(60)
        del admin  # which else looks for a broker that has gone
        clicks = Clicks(broker.address, "in", _SLOW)
        clicks.start()
        stack.callback(clicks.stop)
        stop = folder / "stop"
        command = [sys.executable, "-m", "benchmarks.kafka.endless", broker.address, "in", "out", str(stop)]
        whole = [*command, "&".join(filter(None, (f"group={_GROUP}", options)))]
        job = stack.enter_context(processes.process(whole, folder / "job.log", {"PYTHONPATH": str(ROOT)}))
        stream = Running(folder, broker, job, clicks)
        stack.callback(stream.close)
        stream.begin()
        yield stream
        stop.touch()
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.wait(15)


def measure(what: str, options: str, rate: int | None, share: float, windows: int) -> Streamed:
    """Find the highest rate unless one is given, run at a share of it for so many windows, and read what came out.

    The search is for options with which bundles are short: what waits is known by commits, which longer ones delay.
    """
    with _running(options) as stream:
        highest = None
        if rate is None:
            highest = figures.highest_held(stream.holds, _FIRST, _MOST)
            if not highest:
                raise SystemExit(f"{_FIRST:,} messages a second aren't held on this machine now")
            rate = round(highest * share)
            stream.settle()
        stream.clicks.rate = rate
        # The window that begins after the next has the rate from its beginning on.
        since = (int(time.time()) // WINDOW_SECONDS + 2) * WINDOW_SECONDS
        until = since + windows * WINDOW_SECONDS
        while time.time() < until + _LATE:
            time.sleep(_LOOK)
            stream.backlog()
            if since < time.time() < until:
                stream.look()
        stream.settle()
        latencies, exact = stream.windows(since, until)
        p50, p99, latest = (round(figures.percentile(latencies, percent), 2) for percent in (50, 99, 100))
        return Streamed(
            what=what,
            options=options,
            measured=date.today().isoformat(),
            highest_rate=highest,
            rate=rate,
            seconds=until - since,
            windows=windows,
            records=len(latencies),
            p50=p50,
            p99=p99,
            latest=latest,
            exact=exact,
            worker=figures.thirds(stream.worker),
            runner=figures.thirds(stream.runner),
            load=round(os.getloadavg()[1], 1),
        )


def keep(one: Streamed) -> None:
    """Put a run in the place of the last of its kind and options."""
    runs = {(each["what"], each["options"]): each for each in read()}
    runs[one.what, one.options] = dataclasses.asdict(one)
    PATH.write_text(json.dumps(list(runs.values()), indent=1) + "\n")


def highest() -> int:
    """The highest rate that was found last. SystemExit if none was."""
    for run in read():
        if run["highest_rate"]:
            return int(str(run["highest_rate"]))
    raise SystemExit("no highest rate is known: give --rate, or measure latency first")


def read() -> list[dict[str, object]]:
    """What was measured, the last of each kind and options."""
    return list(json.loads(PATH.read_text())) if PATH.exists() else []
