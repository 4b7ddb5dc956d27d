"""Peak memory of `event_analytics` on the demo's flights, and on ten times as many.

    .venv/bin/python -m benchmarks.memory

Each run is a process of its own; its peak is the operating system's (ru_maxrss). Ten times the data
are the same twelve files under ten names, so that groups and windows stay as many: what is measured is
whether memory grows with rows.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from examples.flights.demo import command
from examples.flights.prepare import prepare
from examples.flights.train import train


def measure(flights: Path, model: Path, lake: Path) -> tuple[float, float, float]:
    """Run once; return peak memory in MB, CPU seconds and wall seconds."""
    environment = {**os.environ, "BEAM_PIPELINES_MASK_KEY": f"bench:{secrets.token_hex(32)}"}
    arguments = [sys.executable, "-m", "beam_pipelines", *command(flights, model, lake)]
    started = time.monotonic()
    with Path(os.devnull).open("wb") as nowhere:
        out = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1)]
        child = os.posix_spawn(sys.executable, arguments, environment, file_actions=out)
        _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"the run failed with status {os.waitstatus_to_exitcode(status)}")
    # ru_maxrss is in KiB on Linux.
    return usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime, time.monotonic() - started


def main() -> None:
    """Measure three times at each size and print the medians and their ratio."""
    with tempfile.TemporaryDirectory() as home:
        once, tenfold = Path(home, "1x"), Path(home, "10x")
        tenfold.mkdir()
        paths = prepare(once)
        model = train(once, Path(home, "model"))
        shutil.copytree(once / "tables", tenfold / "tables")
        for path in paths:
            for copy in range(10):
                shutil.copy(path, tenfold / f"{copy}-{path.name}")
        peaks = {}
        for name, flights in (("1x", once), ("10x", tenfold)):
            runs = sorted(measure(flights, model, Path(home, f"lake-{name}-{run}")) for run in range(3))
            peak, cpu, wall = runs[1]
            peaks[name] = peak
            print(f"{name:>4}: {peak:6.0f} MB peak, {cpu:5.1f} CPU s, {wall:5.1f} s", flush=True)
        print(f"10x / 1x: {peaks['10x'] / peaks['1x']:.2f}")


if __name__ == "__main__":
    main()
