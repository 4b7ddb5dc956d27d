"""One attempt to commit a run's rows to a table. Run as a script it makes attempts in children that are killed.

A line of JSON on stdin, `{"uri", "lake", "step", "after", "seconds"}`, is one attempt in a forked child: killed when
`step` has come `after` times, or after so many seconds. The answer is the signal it died of, 0 if it lived, 256 and
more if it failed. `{"uri", "lake"}` is the run before it, in this process, so that children needn't import what it has;
`{"import"}` names modules to import, where a client wouldn't survive the fork after it was used.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.sink.commit import STEPS as LAKE_STEPS
from beam_pipelines.sink.commit import AtStep, Manifest, no_step
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter, WrittenFile
from beam_pipelines.sink.publishing import finalize
from beam_pipelines.sink.runs import RunIdentity
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Layout, Table, TableOfFiles
from tests.sink.attempts import killing

STEPS = ("balanced", "loaded", "stored", *(step for step in LAKE_STEPS if step not in ("balanced", "moving")))
"""After all rows are staged, around the store's commit, around the manifest; a run of only a table moves no file."""

ROWS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("country", pa.string()),
        pa.field("amount", pa.decimal128(12, 2)),
        pa.field("placed_at", pa.timestamp("us", "UTC")),
    ]
)
FIRST = datetime(2024, 3, 1, tzinfo=timezone.utc)


def batch(first: int, last: int, country: str = "DE") -> pa.RecordBatch:
    """Rows by their ids, half of them of another country, one an hour."""
    rows = [
        {
            "id": number,
            "country": None if number % 10 == 9 else country if number % 2 else "FR",
            "amount": Decimal(number) / 4,
            "placed_at": FIRST + timedelta(hours=number),
        }
        for number in range(first, last)
    ]
    return pa.RecordBatch.from_pylist(rows, ROWS)


def stage(table: Table, lake: str, run_id: str, *bundles: pa.RecordBatch) -> list[WrittenFile]:
    """What the bundles of an attempt write."""
    layout = table.layout() if isinstance(table, TableOfFiles) else Layout(ROWS)
    files: list[WrittenFile] = []
    for rows in bundles:
        folder = FolderLayout(lake, run_id, "rows", layout.schema, layout.partition_by, cut=layout.cut)
        writer = FolderWriter(folder)
        writer.write(rows)
        files += writer.close()
    return files


def attempt(uri: str, lake: str, run_id: str, *bundles: pa.RecordBatch, at_step: AtStep = no_step) -> Manifest:
    """Stage rows and finalise the run."""
    table = table_of(uri, ROWS)
    table.check()
    files = stage(table, lake, run_id, *bundles)
    read = ledger.entry("ReadFiles", ledger.READ, sum(rows.num_rows for rows in bundles))
    return finalize(lake, RunIdentity(run_id, "orders", "f1"), files, [read], tables={"rows": table}, at_step=at_step)


def before(uri: str, lake: str) -> None:
    """The run before the one that is killed."""
    attempt(uri, lake, "run-0", batch(100, 160, "IT"))


def killable(uri: str, lake: str, at_step: AtStep = no_step) -> Manifest:
    """The run that is killed: of some of its rows the table has others with the same keys."""
    return attempt(uri, lake, "run-1", batch(0, 60), batch(60, 120), at_step=at_step)


def _child(asked: dict[str, Any]) -> None:
    try:
        killable(asked["uri"], asked["lake"], killing(asked["step"], asked["after"]))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        if "import" in asked:
            for module in asked["import"]:
                __import__(module)
            print(0, flush=True)
            continue
        if "step" not in asked:
            before(asked["uri"], asked["lake"])
            print(0, flush=True)
            continue
        child = os.fork()
        if child == 0:
            _child(asked)
        if asked["seconds"] is not None:
            time.sleep(asked["seconds"])
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        print(status & 0x7F or status, flush=True)


if __name__ == "__main__":
    main()
