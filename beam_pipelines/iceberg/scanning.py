"""The rows of one data file of an Iceberg table, a few at a time, without those that delete files take away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.io import FileIO
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask
    from pyiceberg.table.metadata import TableMetadata


def rows_of(
    io: FileIO, metadata: TableMetadata, task: FileScanTask, columns: Schema, only: BooleanExpression | None = None
) -> Iterator[pa.RecordBatch]:
    """Read a file's rows as some columns of the table, whatever they were called when the file was written."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan, _read_all_delete_files

    scan = ArrowScan(metadata, io, columns, only or AlwaysTrue())
    # Its public to_record_batches holds all batches of a file before it gives the first.
    yield from scan._record_batches_from_scan_tasks_and_deletes([task], _read_all_delete_files(io, [task]))
