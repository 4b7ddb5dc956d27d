"""Rows of ORC files, a stripe at a time, and only the columns that are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from pyarrow import orc

from beam_pipelines.ingest.file_columns import UNREADABLE_ERRORS, ColumnRows, Watched, rows_from, select
from beam_pipelines.ingest.records import Refusal

MAGIC = b"ORC"


def read_orc(file: BinaryIO, path: str, columns: tuple[str, ...] | None) -> Iterator[ColumnRows | list[Refusal]]:
    """Yield the rows of all stripes; positions are row numbers in the file.

    A file whose footer can't be read is one refusal. Where a stripe can't be read, reading ends with one:
    the rows behind it have no number any more. Memory holds a stripe (usually 64 MiB as stored).
    """
    watched = Watched(file, path)
    try:
        reader = orc.ORCFile(watched)
        wanted = select(reader.schema.names, columns)
        stripes, rows = reader.nstripes, reader.nrows
    except UNREADABLE_ERRORS as error:
        yield [watched.refusal("the ORC file", error, 0)]
        return
    position = 0
    for stripe in range(stripes):
        try:
            batch = reader.read_stripe(stripe, columns=wanted)
        except UNREADABLE_ERRORS as error:
            what = f"rows {position} to {rows - 1}, from stripe {stripe} of {stripes} on,"
            yield [watched.refusal(what, error, position)]
            return
        yield rows_from(batch, position)
        position += batch.num_rows
