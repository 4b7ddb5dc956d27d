"""A run's staged files into its tables, and what the manifest tells of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.columnar.batches import MAX_BATCH_ROWS
from beam_pipelines.sink import storage
from beam_pipelines.sink.commit import AtStep, no_step
from beam_pipelines.sink.folder_writer import WrittenFile, temporary_prefix
from beam_pipelines.sink.tables.table import StagedFile, Table


def apart(
    files: Iterable[WrittenFile], tables: Mapping[str, Table]
) -> tuple[list[WrittenFile], dict[str, list[WrittenFile]]]:
    """Tell the files that are published from those of each folder whose rows go into a table."""
    published: list[WrittenFile] = []
    staged: dict[str, list[WrittenFile]] = {}
    for file in files:
        (staged.setdefault(file.folder, []) if file.folder in tables else published).append(file)
    return published, staged


def commit_to_tables(
    run_id: str,
    staged: Mapping[str, Sequence[WrittenFile]],
    tables: Mapping[str, Table],
    *,
    commit_id: str | None = None,
    at_step: AtStep = no_step,
) -> list[dict[str, Any]]:
    """Commit each folder's files to its table, under `commit_id` (the run's id if none) and the folder's name.

    One table after the other: a run that is killed between two has committed to the first, and passes over it when it
    is run again under its id.
    """
    told = []
    for folder, table in tables.items():
        files = [
            StagedFile(f"{temporary_prefix(file.root, run_id)}/{file.path}", file.rows, file.bytes)
            for file in sorted(staged.get(folder, ()), key=lambda each: each.path)
            if file.rows
        ]
        committed = table.commit(f"{commit_id or run_id}-{folder}", files, at_step)
        told.append({"output": folder, "table": table.name, "rows": committed.rows, **committed.told})
    return told


def staged_batches(files: Iterable[StagedFile], max_rows: int = MAX_BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The rows of staged files, a few at a time."""
    for file in files:
        with storage.open_to_read(file.path) as stored:
            # Column by column in pieces: a row group of wide rows may be 32 MiB of Arrow data.
            parquet = pq.ParquetFile(stored, pre_buffer=False)
            yield from parquet.iter_batches(max_rows)
