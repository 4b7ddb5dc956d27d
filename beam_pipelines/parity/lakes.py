"""Two lakes compared: rows, aggregates, dead letters without the run they are of, and the balance's counts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines import dead_letters, ledger
from beam_pipelines.parity.diff import Difference, compare, shown
from beam_pipelines.parity.streams import final_aggregates, final_counts, is_stream
from beam_pipelines.sink import read_dead_letters, runs, storage
from beam_pipelines.sink.care.inventory import where
from beam_pipelines.sink.partitions import values_of

_COUNT_TYPE = pa.int64()
_OF_THE_RUN = ("run_id",)
_PARTS = ("rows", "aggregates", "dead letters", "balance")


class Side(NamedTuple):
    """A committed run in a lake."""

    output: str
    run_id: str


def differences(left: Side, right: Side, *, show: int = 10) -> Iterator[tuple[str, Difference]]:
    """Yield what is different about each part of two runs, equal or not. Each part is in memory as a whole.

    Of a stream and a batch: the stream's late rows are re-aggregated (`parity.streams`), and of the balances only
    those counts are compared that don't tell what was in time.
    """
    final = is_stream(manifest_of(left)) != is_stream(manifest_of(right))
    for part in _PARTS:
        yield part, compare(_read(left, part, final), _read(right, part, final), show=show)


def lines(part: str, found: Difference) -> Iterator[str]:
    """The difference as lines of text."""
    if found.is_equal:
        yield f"equal      {part}: {found.left_rows:,}{' counts' if part == 'balance' else ''}"
        return
    if found.columns:
        yield f"DIFFERENT  {part}: columns {'; '.join(found.columns)}"
        return
    yield (
        f"DIFFERENT  {part}: {found.left_only:,} of {found.left_rows:,} on the left and {found.right_only:,} of "
        f"{found.right_rows:,} on the right alone"
    )
    for side, times, row in found.first:
        yield f"  {'<' if side == 'left' else '>'} {shown(row)}{f'  ({times} times)' if times > 1 else ''}"
    more = found.left_only + found.right_only - sum(times for _, times, _ in found.first)
    if more:
        yield f"  and {more:,} more"


def _read(side: Side, part: str, final: bool) -> pa.Table:
    if part == "balance":
        return _balance(side, final)
    manifest = manifest_of(side)
    if part == "aggregates" and final and is_stream(manifest):
        panes, rows, late = (files_of(side, folder) for folder in ("aggregates", "rows", "late"))
        return final_aggregates(panes, rows, late, manifest)
    if part == "dead letters":
        return dead_letters_of(side).drop_columns(list(_OF_THE_RUN))
    return files_of(side, part)


def dead_letters_of(side: Side) -> pa.Table:
    """The dead letters of a run."""
    return pa.Table.from_batches(list(read_dead_letters(side.output, side.run_id)), dead_letters.SCHEMA)


def manifest_of(side: Side) -> dict[str, Any]:
    """The manifest of a run. UsageError when it isn't committed."""
    manifest = runs.committed_manifest(side.output, side.run_id)
    if manifest is None:
        raise runs.unknown_run(side.output, side.run_id)
    return manifest


def files_of(side: Side, folder: str) -> pa.Table:
    """The rows of a run in one folder of its lake."""
    manifest = manifest_of(side)
    tables = [_file(side, file["path"]) for file in manifest["files"] if file["folder"] == folder]
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})


def _file(side: Side, path: str) -> pa.Table:
    """The rows of a file, with the partition's values as they are spelt in its path."""
    with storage.open_to_read(where(side.output, path)) as file:
        table = pq.read_table(file)
    for name, value in values_of(path).items():
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
    return table


def came_through(side: Side) -> dict[str, int]:
    """How many rows a run has read, and how many of them reached its aggregation."""
    counts = final_counts(_balance_of(side))
    return {outcome: counts[outcome] for outcome in (ledger.READ, ledger.AGGREGATED)}


def _balance(side: Side, final: bool) -> pa.Table:
    counts = _balance_of(side)
    if final:
        counts = final_counts(counts)
    return pa.table({"count": list(counts), "n": pa.array(counts.values(), _COUNT_TYPE)})


def _balance_of(side: Side) -> dict[str, int]:
    content = storage.read(f"{runs.run_folder(side.output, side.run_id)}/balance.json")
    if content is None:
        raise runs.unknown_run(side.output, side.run_id)
    return dict(_counts(json.loads(content)))


def _counts(balance: Any, place: str = "") -> Iterator[tuple[str, int]]:
    """Every number of the balance by its place; a stage's is known by the stage, not by its place in a list."""
    if isinstance(balance, Mapping):
        for name, value in balance.items():
            yield from _counts(value, f"{place}.{name}" if place else name)
    elif isinstance(balance, list):
        for each in balance:
            if isinstance(each, Mapping) and "rows" in each:
                name = "/".join(str(value) for key, value in each.items() if key != "rows" and value)
                yield f"{place}.{name}", int(each["rows"])
    elif isinstance(balance, (bool, int)):
        yield place, int(balance)
