"""Keys of a commit's rows: held in memory, each once. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import storage
from beam_pipelines.sink.partitions import values_of
from beam_pipelines.sink.tables.table import StagedFile

_FOUND = "__found"


def keys_of(files: Sequence[StagedFile], kinds: pa.Schema, name: str) -> pa.Table:
    """The keys of staged rows. UsageError if one is there twice: which row is to stay, nobody said."""
    found = []
    for file in files:
        with storage.open_to_read(file.path) as stored:
            parquet = pq.ParquetFile(stored, pre_buffer=False)
            told = values_of(file.path.rpartition("/tmp/")[2])  # noqa: S108  below the staging folder
            there = set(parquet.schema_arrow.names)
            inside = [each for each in kinds.names if each in there]
            read = parquet.read(inside) if inside else pa.table({_FOUND: pa.nulls(parquet.metadata.num_rows)})
        for each in kinds.names:
            if each not in inside:
                read = read.append_column(each, pa.array([told[each]] * read.num_rows, pa.string()))
        found.append(read.select(kinds.names).cast(kinds))
    keys = pa.concat_tables(found) if found else kinds.empty_table()
    ones = pa.repeat(1, keys.num_rows)
    counted = keys.append_column(_FOUND, ones).group_by(kinds.names).aggregate([(_FOUND, "sum")])
    if counted.num_rows < keys.num_rows:
        twice = pc.sum(pc.greater(counted.column(f"{_FOUND}_sum"), 1)).as_py()
        raise UsageError(
            f"{name}: ?mode=upsert: {twice:,} keys ({', '.join(kinds.names)}) come more than once in one commit, and "
            "which row is to stay is nobody's to guess: deduplicate them (in the contract), or aggregate"
        )
    return counted.select(kinds.names)
