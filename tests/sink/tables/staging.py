"""Rows as bundles stage them, and commits of them without a pipeline."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.sink.commit import AtStep, no_step
from beam_pipelines.sink.tables.fit import misfits
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Committed, StagedFile

_numbers = itertools.count()


def staged(folder: Path, *tables: pa.Table) -> list[StagedFile]:
    """A file for each table."""
    files = []
    for table in tables:
        path = folder / f"{next(_numbers)}.parquet"
        pq.write_table(table, path)
        files.append(StagedFile(str(path), table.num_rows, path.stat().st_size))
    return files


def commit(uri: str, folder: Path, *tables: pa.Table, id: str = "run-1", at_step: AtStep = no_step) -> Committed:
    """Check the table and commit rows to it."""
    table = table_of(uri, tables[0].schema)
    table.check()
    return table.commit(id, staged(folder, *(each for each in tables if each.num_rows)), at_step)


def refused(uri: str, rows: pa.Table) -> list[tuple[int, str]]:
    """Row and rule of what the table can't take."""
    table = table_of(uri, rows.schema)
    table.check()
    found = []
    for batch in rows.combine_chunks().to_batches():
        failures = misfits(batch, table.columns())
        for row, each in enumerate([] if failures is None else failures.to_pylist()):
            found += [(row, failure["rule"]) for failure in each or []]
    return found
