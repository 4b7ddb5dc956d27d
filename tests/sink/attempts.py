"""One attempt to publish a run, without Beam. Run as a script it makes attempts in children that are killed.

A line of JSON on stdin, `{"lake", "vault", "files", "step", "after", "seconds"}`, is one attempt in a forked child,
with files of its own if given none: killed when `step` has come `after` times, or after so many seconds. The answer is
the signal it died of, 0 if it lived.
"""

import json
import os
import signal
import sys
import tempfile
import time
from datetime import datetime, timezone

import pyarrow as pa

from beam_pipelines import dead_letters, ledger
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.dead_letter_files import stamp
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter, WrittenFile, write_empty
from beam_pipelines.sink.publishing import finalize
from beam_pipelines.sink.runs import RunIdentity

ROWS = pa.schema({"id": pa.int64(), "country": pa.string()})
PANES = pa.schema({"country": pa.string(), "events": pa.int64()})
COUNTRIES = [f"c{number}" for number in range(6)]
GOOD, BAD = 120, 7
RUN = RunIdentity("run-1", "orders", "f1", started=datetime(2013, 1, 1, tzinfo=timezone.utc))


def write(lake, vault, run_id="run-1"):
    """What the bundles of one attempt write: rows in six partitions, aggregates, dead letters elsewhere."""
    rows = FolderWriter(FolderLayout(lake, run_id, "rows", ROWS, ("country",)))
    ids = range(GOOD)
    rows.write(pa.record_batch({"id": ids, "country": [COUNTRIES[number % 6] for number in ids]}))
    panes = FolderWriter(FolderLayout(lake, run_id, "aggregates", PANES))
    counts = [GOOD // 6] * 6
    panes.write(pa.record_batch({"country": COUNTRIES, "events": counts, "__rows": counts}))
    letters = FolderWriter(FolderLayout(vault, run_id, "dead_letters", dead_letters.SCHEMA))
    refused = {"transform": "t", "rule": "type", "message": "m", "failures": [], "payload": b"x"}
    letters.write(stamp(pa.RecordBatch.from_pylist([refused] * BAD, dead_letters.SCHEMA), "orders", run_id))
    empty = [write_empty(FolderLayout(lake, run_id, "rows", ROWS, ("country",)))]
    return [*rows.close(), *panes.close(), *letters.close(), *empty]


def entries(read=GOOD + BAD):
    return [
        ledger.entry("ReadFiles", ledger.READ, read),
        ledger.entry("ValidateBatches", ledger.DEAD_LETTERED, BAD, "type"),
        ledger.entry("AggregateBatches", ledger.AGGREGATED, GOOD, output=ledger.AGGREGATES),
    ]


def attempt(lake, vault, run=RUN, at_step=no_step):
    return finalize(lake, run, write(lake, vault, run.run_id), entries(), at_step=at_step)


def killing(step, after=1):
    """Kills this process, as nothing could stop it, at a step that has come `after` times."""
    seen = []

    def at_step(name):
        seen.append(name)
        if seen.count(step) == after and name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return at_step


def main():
    with tempfile.TemporaryDirectory() as once:  # pyarrow imports pandas at its first use: not in every child
        attempt(once, once)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            files = [WrittenFile(*file) for file in asked["files"]] or write(asked["lake"], asked["vault"])
            finalize(asked["lake"], RUN, files, entries(), at_step=killing(asked["step"], asked["after"]))
            os._exit(0)
        if asked["seconds"] is not None:
            time.sleep(asked["seconds"])
            os.kill(child, signal.SIGKILL)
        print(os.waitpid(child, 0)[1] & 0x7F, flush=True)


if __name__ == "__main__":
    main()
