"""One stream from Kafka to Kafka, and what happens to it: each fault, and how it is brought about."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

from confluent_kafka import Consumer

from scripts import processes, toxiproxy
from scripts.toxiproxy import Proxy
from tests.ingest.kafka.streaming import Stream, job
from tests.recovery import deaths, trials
from tests.servers.kafka import Kafka, kafka
from tests.small_disk import fill, small_disk

OPTIONS = "group=trials&out_of_orderness=1&idle_after=2&bundle=1&poll=0.5"
WINDOW, DISORDER = 2, 1.0  # seconds: all is out that long after the last row
CHECKPOINTS = ("--checkpointing_interval=3000", "--finish_bundle_before_checkpointing")
ROWS, POISON = 2000, 6
_PIECES = 8  # in which the rows of a trial are written
_SECONDS = 4.0  # over which they are written
_CALM = (1.0, 4.0)  # seconds from one fault to the next at the same place: Prism takes no failed bundle for another try
_LIMIT = 240.0  # seconds of one trial, on a machine that is busy


@dataclasses.dataclass
class Setting:
    """A stream that runs: its broker, the proxy through which it finds it, and on Flink the cluster."""

    broker: Kafka
    proxy: Proxy
    stream: Stream
    running: subprocess.Popen[bytes]
    log: Path
    deaths: Path
    cluster: trials.Cluster | None
    stack: contextlib.ExitStack

    def kill_worker(self) -> None:
        """Kill it, and wait until another one is at work."""
        assert self.cluster is not None
        last = self._at_work()
        while not trials.kill_workers(self.cluster.pool):  # it has just died by itself
            last = self._at_work(last)
        self._at_work(last)

    def _at_work(self, last: int | None = None) -> int:
        """Wait for a start of the job other than the last."""
        assert self.cluster is not None
        until = time.monotonic() + _LIMIT
        while (start := self.cluster.start_of(self.stream.topic)) in (None, last):
            assert time.monotonic() < until, "no worker is at work"
            time.sleep(0.1)
        assert start is not None
        return start

    def kill_task_manager(self) -> None:
        """Kill it, and start another one, as whoever runs a cluster has to."""
        assert self.cluster is not None
        old = self.cluster.task_manager
        command = Path(f"/proc/{old}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
        os.kill(old, signal.SIGKILL)
        log = self.log.with_name(f"task-manager-{time.monotonic_ns()}.log")
        new = self.stack.enter_context(processes.process(command, log))
        self.cluster = dataclasses.replace(self.cluster, task_manager=new.pid)

    def kill_broker(self) -> None:
        self.broker.stop(signal.SIGKILL)
        self.broker.start()

    def fill_disk(self) -> None:
        """No byte more fits on the broker's disk, until it dies of it; then there is room again, and it is started."""
        filler = fill(self.broker.folder.parent)
        until = time.monotonic() + _LIMIT
        while not self.broker.has_died():
            assert time.monotonic() < until, "the broker lives on a full disk"
            time.sleep(0.1)
        filler.unlink()
        self.broker.stop(signal.SIGKILL)
        self.broker.start()

    def cut(self, seconds: float = 3) -> None:
        self.proxy.cut()
        time.sleep(seconds)
        self.proxy.mend()

    def slow(self, seconds: float = 3) -> None:
        self.proxy.slow(milliseconds=300, kilobytes_a_second=50)
        time.sleep(seconds)
        self.proxy.mend()

    def join_group(self, seconds: float = 3) -> None:
        """Somebody else joins the group, takes its partitions, and leaves."""
        other = Consumer(
            {
                "bootstrap.servers": self.broker.address,
                "group.id": "trials",
                "enable.auto.commit": False,
                # The least: one that couldn't say goodbye to a dead broker holds up the next one for so long.
                "session.timeout.ms": 6000,
                "heartbeat.interval.ms": 1000,
                "reconnect.backoff.max.ms": 1000,
            }
        )
        other.subscribe([self.stream.topic])
        until = time.monotonic() + _LIMIT
        while not other.assignment() and time.monotonic() < until:
            other.poll(0.1)
        assert other.assignment(), "the group wasn't joined"
        time.sleep(seconds)
        other.close()

    def add_partition(self) -> None:
        self.stream.partitions += 1
        self.broker.add_partitions(self.stream.topic, self.stream.partitions)

    def die_at(self, step: str) -> None:
        """Have a worker die at a step, and wait until it has."""
        (self.deaths / step).touch()
        until = time.monotonic() + _LIMIT
        while not (self.deaths / f"{step}.died").exists():
            assert time.monotonic() < until, f"no worker came to the step '{step}'"
            time.sleep(0.1)
        (self.deaths / f"{step}.died").unlink()


Fault = Callable[[Setting], None]

ON_FLINK: dict[str, Fault] = {
    "a worker killed (`kill -9`)": Setting.kill_worker,
    "a TaskManager killed (`kill -9`), another one started": Setting.kill_task_manager,
}
EVERYWHERE: dict[str, Fault] = {
    "undisturbed": lambda _: None,
    "the broker killed (`kill -9`) and back": Setting.kill_broker,
    "the network cut for 3 s": Setting.cut,
    "the network slow for 3 s (300 ms, 50 kB/s)": Setting.slow,
    "another consumer joins the group and leaves": Setting.join_group,
    "a partition added": Setting.add_partition,
}

ON_ITS_DISK: dict[str, Fault] = {"the disk of the broker full until it dies of it": Setting.fill_disk}
"""Needs a broker whose folder is a small disk of its own."""


def _dying_at(step: str) -> Fault:
    return lambda setting: setting.die_at(step)


AT_STEPS: dict[str, Fault] = {f"a worker killed when {what}": _dying_at(step) for step, what in deaths.STEPS.items()}


KILLED = ("a worker killed", Setting.kill_worker)
OF_THE_BROKER = (("the broker killed", Setting.kill_broker), ("the disk of the broker full", Setting.fill_disk))
OF_THE_NETWORK: Sequence[tuple[str, Fault]] = (
    ("the network cut", lambda setting: setting.cut(0.5)),
    ("the network slow", lambda setting: setting.slow(0.5)),
    ("another consumer in the group", lambda setting: setting.join_group(0.5)),
)
"""What storms are made of."""


@contextlib.contextmanager
def surrounded(folder: Path, flags: Sequence[str], cluster: trials.Cluster | None = None) -> Iterator[Setting]:
    """Run a stream with a broker of its own behind a proxy, on a small disk if that can be made (by root)."""
    (port,) = processes.free_ports(1)
    with contextlib.ExitStack() as stack:
        disk = folder / "disk"
        disk.mkdir()
        if os.geteuid() == 0:
            stack.enter_context(small_disk(disk, megabytes=256))
        broker = stack.enter_context(kafka(disk, {"PROXIED": port}))
        proxy = stack.enter_context(toxiproxy.running(folder, port, broker.ports["PROXIED"]))
        yield stack.enter_context(running(folder / "job", broker, proxy, flags, cluster))


@contextlib.contextmanager
def running(
    folder: Path, broker: Kafka, proxy: Proxy, flags: Sequence[str], cluster: trials.Cluster | None = None
) -> Iterator[Setting]:
    """Run a stream, until its first rows have come out and afterwards."""
    stream = Stream.on(broker, base=datetime.now(timezone.utc), window=WINDOW)
    dying = folder / "deaths"
    dying.mkdir(parents=True)
    more = [*flags, *(CHECKPOINTS if cluster else ()), f"--job_name={stream.topic}"]
    with contextlib.ExitStack() as stack:
        if cluster is not None:
            stack.callback(cluster.cancel, stream.topic)
        address = f"localhost:{proxy.port}"
        process, log = stack.enter_context(job(stream, folder, OPTIONS, more, address, str(dying)))
        setting = Setting(broker, proxy, stream, process, log, dying, cluster, contextlib.ExitStack())
        stack.callback(setting.stack.close)
        write(setting)
        stream.wait(process, log, _LIMIT)
        yield setting


def trial(setting: Setting, fault: Fault, chance: random.Random) -> float:
    """Bring about a fault at a random moment while rows are written, and wait until all has come out.

    Returns the seconds that it took. AssertionError unless input = panes + late + dead letters, by window and page.
    """
    began = time.monotonic()
    writing = threading.Thread(target=write, args=(setting, _SECONDS))
    writing.start()
    time.sleep(chance.uniform(0, _SECONDS))  # the moment is what is tried
    fault(setting)
    writing.join()
    setting.stream.wait(setting.running, setting.log, _LIMIT)
    setting.stream.check()
    return time.monotonic() - began


def storm(setting: Setting, places: Sequence[Sequence[tuple[str, Fault]]], chance: random.Random) -> None:
    """Bring about faults at random moments while rows are written, and wait until all has come out.

    Places are struck at the same time, each by its faults one after another, in any order. AssertionError as of a
    trial, with what happened when.
    """
    began, told = time.monotonic(), list[str]()

    def strike(faults: Sequence[tuple[str, Fault]], dice: random.Random) -> None:
        for name, fault in dice.sample(faults, len(faults)):
            time.sleep(dice.uniform(*_CALM))  # the moment is what is tried
            told.append(f"{time.monotonic() - began:.1f} s: {name}")
            fault(setting)

    with ThreadPoolExecutor(len(places)) as pool:
        struck = [pool.submit(strike, faults, random.Random(chance.random())) for faults in places]
        while not all(each.done() for each in struck):
            write(setting, 1.0, ROWS // 4)
        for each in struck:
            each.result()
    write(setting)
    try:
        setting.stream.wait(setting.running, setting.log, _LIMIT)
        setting.stream.check()
    except AssertionError as wrong:
        raise AssertionError("\n".join([str(wrong), *told])) from wrong


def write(setting: Setting, seconds: float = 0.0, rows: int = ROWS) -> None:
    """Write rows of just now, as they come from people."""
    stream = setting.stream
    for piece in range(_PIECES):
        now = (datetime.now(timezone.utc) - stream.base).total_seconds()
        poison = POISON if piece == 1 else 0
        stream.write(rows // _PIECES, now, DISORDER, poison, per_second=2 * ROWS)
        time.sleep(seconds / _PIECES)
