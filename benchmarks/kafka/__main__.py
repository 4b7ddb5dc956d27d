"""Measure the sides, interleaved:  python -m benchmarks.kafka --messages 2000000 --runs 3

python -m benchmarks.kafka latency               how long windows of our stream take, at half of the highest rate held
python -m benchmarks.kafka soak --minutes 5      whether its memory stays flat, at four fifths of that rate

A broker is started beside them; its CPU isn't counted, that of each side is, with all that it starts. What comes out is
compared with what has to, which is known from how the messages were made.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks import environments, page, results, running
from benchmarks.kafka import expansion, live, messages
from benchmarks.kafka.messages import Window
from benchmarks.kafka.rules import WINDOW_SECONDS
from benchmarks.kafka.workload import KAFKA
from benchmarks.results import Measured
from benchmarks.workload import Side
from scripts.kafka import Broker

_LIMIT = 1800.0  # seconds of one run
_SETTLED = 80  # seconds of event time at the end: quixstreams leaves windows open for its grace of 60 s
_Totals = dict[Window, tuple[int, int]]


def main() -> None:
    """Measure what is asked for, keep it, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kafka", description=__doc__.partition(":")[0])
    parser.add_argument("what", nargs="?", choices=("sides", "latency", "soak"), default="sides")
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sides", default=",".join(side.implementation for side in KAFKA.sides), help="with commas")
    parser.add_argument("--slow", default="beam_cross_language,beam_row_wise,quixstreams,bytewax", help="that run once")
    parser.add_argument("--minutes", type=float, default=5, help="of latency and soak")
    parser.add_argument("--rate", type=int, help="of latency and soak: messages a second")
    parser.add_argument("--options", help="of latency and soak: of the URI that is read, instead of the benchmark's")
    asked = parser.parse_args()
    if asked.what != "sides":
        options = {"latency": live.QUICK, "soak": live.USUAL}[asked.what] if asked.options is None else asked.options
        rate = asked.rate or (round(0.8 * live.highest()) if asked.what == "soak" else None)
        found = live.measure(asked.what, options, rate, 0.5, round(asked.minutes * 60 / WINDOW_SECONDS))
        print(found)
        live.keep(found)
        page.write()
        return
    sides = [side for side in KAFKA.sides if side.implementation in asked.sides.split(",")]
    pythons = {side.implementation: environments.python(side.environment) for side in sides}
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as folder, contextlib.ExitStack() as stack:
        broker = Broker(Path(folder) / "kafka")
        broker.start()
        stack.callback(broker.stop)
        admin = AdminClient({"bootstrap.servers": broker.address})
        _make(admin, "in", messages.PARTITIONS)
        expected = messages.write(broker.address, "in", asked.messages)
        service = None
        measured: dict[str, list[Measured]] = {}
        equal: dict[str, bool] = {}
        for run in range(asked.runs):
            for side in sides:
                name = side.implementation
                if run and name in asked.slow.split(","):
                    continue
                more: list[str] = []
                if name == "beam_cross_language":
                    service = service or stack.enter_context(expansion.running(Path(folder)))
                    more = [service]
                target = f"{name}-{run}"
                _make(admin, target, 1)
                command = [str(pythons[name]), "-m", side.module, broker.address, "in", target, str(asked.messages)]
                try:
                    one = running.run_once([*command, *more], _LIMIT)
                except running.SideFailedError as error:
                    print(f"{name} failed: {error}", flush=True)
                    continue
                measured.setdefault(name, []).append(one)
                told = _differences(_read(broker.address, target), expected, asked.messages)
                equal[name] = equal.get(name, True) and not told
                print(
                    f"{run + 1} {name:<20} {one.cpu_s:7.1f} CPU s {one.wall_s:7.1f} s {one.peak_mb:6.0f} MB "
                    f"{asked.messages / one.cpu_s:9,.0f} messages a CPU second {told or 'equal'}",
                    flush=True,
                )
                result = results.summarize(KAFKA.name, asked.messages, name, measured[name], equal[name])
                results.keep([result], _versions([side]))
    page.write()


def _make(admin: AdminClient, topic: str, partitions: int) -> None:
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(60)


def _versions(sides: Sequence[Side]) -> dict[str, str]:
    return {
        f"{side.environment}: {name}": version
        for side in sides
        if side.environment != "project"
        for name, version in environments.ENVIRONMENTS[side.environment].versions.items()
    }


def _read(address: str, topic: str) -> _Totals:
    """What a side wrote. A window that it wrote twice has its sums twice, and so differs."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "totals", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: _Totals = {}
    at_end = False
    while not at_end:
        for message in consumer.consume(10_000, 1):
            at_end = at_end or message.error() is not None
            if message.error() is None:
                total = json.loads(message.value())
                window = _second(total["window_start"]), total["page"]
                n, cents = found.get(window, (0, 0))
                found[window] = n + total["n"], cents + total["cents"]
    consumer.close()
    return found


def _second(start: Any) -> int:
    """Seconds since the first message, of a time as text or as seconds since the epoch."""
    seconds = float(start) if isinstance(start, int | float) else datetime.fromisoformat(start).timestamp()
    return round(seconds - messages.START.timestamp())


def _differences(found: _Totals, expected: _Totals, count: int) -> str:
    """Empty, or what differs in windows that were closed before the end."""
    end = count / messages.PER_SECOND - _SETTLED
    wrong = [each for each in expected if each[0] < end and found.get(each) != expected[each]]
    wrong += [each for each in found if each not in expected]
    if not wrong:
        return ""
    first = min(wrong)
    said = f"{len(wrong)} of {len(expected)} windows differ ({len(found)} were written)"
    return f"{said}, such as {first}: {found.get(first)}, not {expected.get(first)}"


if __name__ == "__main__":
    main()
