"""Rows of Parquet files, row group by row group, page by page, and only the columns that are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.ingest.file_columns import UNREADABLE_ERRORS, ColumnRows, Watched, rows_from, select
from beam_pipelines.ingest.records import Refusal

MAGIC = b"PAR1"

BUFFER_BYTES = 1 << 20
"""Bytes read of a column at a time, so that memory doesn't hold row groups of other people's size."""


def read_parquet(
    file: BinaryIO,
    path: str,
    columns: tuple[str, ...] | None,
    groups: tuple[int, int | None],
    max_rows: int,
    max_bytes: int,
) -> Iterator[ColumnRows | list[Refusal]]:
    """Yield the rows of row groups [first, end); positions are row numbers in the file.

    A file whose footer can't be read is one refusal, and so is each row group from the row on that can't
    be read; checksums of pages are checked where the file has them.
    """
    watched = Watched(file, path)
    try:
        parquet = _open(watched)
    except UNREADABLE_ERRORS as error:
        yield [watched.refusal("the Parquet file", error, 0)]
        return
    wanted = select(parquet.schema_arrow.names, columns)
    position = 0
    for group in range(parquet.num_row_groups):
        told = parquet.metadata.row_group(group)
        if group >= groups[0] and (groups[1] is None or group < groups[1]):
            row_bytes = max(1, told.total_byte_size // max(1, told.num_rows))
            done = 0
            try:
                rows = max(1, min(max_rows, max_bytes // row_bytes))
                for batch in parquet.iter_batches(rows, row_groups=[group], columns=wanted):
                    yield rows_from(batch, position + done)
                    done += batch.num_rows
                if done < told.num_rows:
                    raise pa.ArrowInvalid(f"{done} rows are there")
            except UNREADABLE_ERRORS as error:
                what = f"rows {position + done} to {position + told.num_rows - 1} in row group {group}"
                yield [watched.refusal(what, error, position + done)]
        position += told.num_rows


def split_groups(file: BinaryIO, path: str, split_bytes: int) -> list[tuple[int, int | None]]:
    """Ranges of row groups of about `split_bytes` each; one range for a file that can't be read."""
    try:
        metadata = _open(Watched(file, path)).metadata
        sizes = [_stored_bytes(metadata.row_group(group)) for group in range(metadata.num_row_groups)]
    except UNREADABLE_ERRORS:
        return [(0, None)]  # who reads it says why
    starts, held = [0], 0
    for group, size in enumerate(sizes):
        if held and held + size > split_bytes:
            starts.append(group)
            held = 0
        held += size
    return list(zip(starts, [*starts[1:], None], strict=True))


def _stored_bytes(group: pq.RowGroupMetaData) -> int:
    return sum(group.column(place).total_compressed_size for place in range(group.num_columns))


def _open(watched: Watched) -> pq.ParquetFile:
    return pq.ParquetFile(watched, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)
