"""Changes of a lake in processes that are killed. Run as a script it makes them in children.

A line of JSON on stdin, `{"lake", "verb", "run_id", "step", "after", "seconds"}`, is a compaction or a rollback in a
forked child, killed when `step` has come `after` times or after so many seconds. The answer is the signal it died of,
0 if it lived.
"""

import json
import os
import signal
import sys
import tempfile
import time
from datetime import datetime, timezone

from beam_pipelines.sink.care.compacting import compact
from beam_pipelines.sink.care.rolling_back import rollback
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.runs import RunIdentity
from tests.sink.attempts import attempt, killing

RUNS = ("run-1", "run-2", "run-3")


def fill(lake, vault):
    """Three runs of the same rows, with small files in six partitions."""
    for run_id in RUNS:
        attempt(lake, vault, RunIdentity(run_id, "orders", "f1"))


def change(asked, at_step=no_step):
    now = datetime.now(timezone.utc)
    if asked["verb"] == "compact":
        return compact(asked["lake"], now, ["rows", "aggregates"], at_step=at_step)
    return rollback(asked["lake"], asked["run_id"], now, at_step)


def main():
    with tempfile.TemporaryDirectory() as once:  # modules that are imported at first use: not in every child
        fill(f"{once}/lake", f"{once}/vault")
        change({"verb": "compact", "lake": f"{once}/lake"})
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            change(asked, killing(asked["step"], asked["after"]))
            os._exit(0)
        if asked["seconds"] is not None:
            time.sleep(asked["seconds"])
            os.kill(child, signal.SIGKILL)
        print(os.waitpid(child, 0)[1] & 0x7F, flush=True)


if __name__ == "__main__":
    main()
