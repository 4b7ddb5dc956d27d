"""W1 by `event_analytics`, as anybody would run it from the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from beam_pipelines.launch.cli import main
from benchmarks.events.rules import KEY

if __name__ == "__main__":
    os.environ["BEAM_PIPELINES_MASK_KEY"] = f"w1:{KEY.hex()}"
    options = {
        "input": sys.argv[1],
        "contract": Path(__file__).parents[1] / "events" / "events.odcs.yaml",
        "output": sys.argv[2],
        "window": "fixed:1m",
        "group_by": "country,kind",
        "aggregate": "count(*) as events, sum(cents) as total, max(cents) as largest",
    }
    raise SystemExit(main(["run", "event_analytics", *(f"--{name}={value}" for name, value in options.items())]))
