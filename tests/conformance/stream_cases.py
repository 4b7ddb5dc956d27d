"""Sources and stages of streams."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import TimestampedValue

import beam_pipelines as bp
from tests.conformance import kept
from tests.conformance.case import Case, Outputs

EVENTS = bp.Contract(
    "events",
    (bp.Field("id", pa.int64(), required=True), bp.Field("at", pa.timestamp("us", "UTC"), event_time=True)),
)
_LINES = b"""\
{"id": 1, "at": "2024-03-30T10:00:00Z"}
{"id": 2, "at": "2024-03-30T10:30:00Z"}
{"id": 3, "at": "2024-03-30T12:10:00Z"}
{"id": "four"}
"""


def _replay(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    """A file as a stream; which of its rows are late is the runner's affair, that none is lost is not."""
    (folder / "events.jsonl").write_bytes(_LINES)
    read = pipeline | bp.ReplayFiles(f"{folder}/events.jsonl", EVENTS)
    valid = read.good | bp.DecodeBatches(EVENTS) | bp.ValidateBatches(EVENTS)
    split = valid.good | bp.SplitLateRows("fixed:1h", "at", "10m")
    rows = (split.on_time, split.late) | "OnTimeAndLate" >> beam.Flatten()
    ids = rows | "Ids" >> beam.FlatMap(
        lambda batch: [str(each) for each in batch.column("id").to_pylist()]
    ).with_output_types(str)
    reached = split.ledger | "Reached" >> beam.Filter(lambda entry: entry[0][2] == "aggregated")
    # A source's first entry, that it began, has no time yet; what is kept together is of one window.
    entries = (
        (read.ledger, valid.ledger, reached)
        | "Ledgers" >> beam.Flatten()
        | "AtOneTime" >> beam.Map(lambda entry: TimestampedValue(entry, 1_711_792_800))
    )
    return {"ids": ids, "ledger": entries}


def _watch(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    """Files that are there, of those of the folder that are whole."""
    (folder / "in").mkdir()
    (folder / "in" / "a.jsonl").write_bytes(_LINES)
    (folder / "in" / "b.csv").write_text("id\n5\n")
    (folder / "in" / "c.jsonl.tmp").write_bytes(_LINES)
    watched = pipeline | bp.WatchFiles(f"watch://{folder}/in/*?bounded=true&settled=0")
    told = watched.good | "WatchFiles: told" >> beam.Map(lambda batch: batch.select(["__payload", "__position"]))
    return {"good": told, "ledger": watched.ledger}


def _watch_expected(folder: Path) -> dict[str, list[str]]:
    positions = (0, 40, 80, 120)
    rows = [*zip(_LINES.splitlines(), positions, strict=True), (b"5", 3)]
    return {
        "good": kept.texts([{"__payload": payload, "__position": position} for payload, position in rows]),
        "ledger": kept.texts([(("", "WatchFiles", "read", ""), 5)]),
    }


def _replay_expected(folder: Path) -> dict[str, list[str]]:
    entries = [
        (("", "ReadFiles", "read", ""), 4),
        (("", "ValidateBatches", "dead_lettered", "type"), 1),
        (("aggregates", "SplitLateRows", "aggregated", ""), 3),
    ]
    return {"ids": ["1", "2", "3"], "ledger": kept.texts(entries)}


CASES = (
    Case("ReplayFiles", ("ReplayFiles", "SplitLateRows"), _replay, _replay_expected, streaming=True),
    Case("WatchFiles", ("WatchFiles",), _watch, _watch_expected),
)
