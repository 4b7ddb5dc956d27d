"""How rows get into a table of a database, as options of its URI."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import option

COMMITS = "beam_pipelines_commits"
"""The table in which a database remembers commits: one row for each, in the transaction that wrote its rows."""


@dataclasses.dataclass(frozen=True)
class WriteOptions:
    """Options of a database's URI that is written to."""

    mode: Literal["append", "upsert", "replace"] = option(
        "append: add the rows; upsert: a row takes the place of the one with its key; replace: the rows take the place "
        "of all that are there.",
        default="append",
    )
    key: tuple[str, ...] = option(
        "Columns of the key by which ?mode=upsert finds rows. Default: the table's primary key.", default=()
    )
    version: str | None = option(
        "Column by which ?mode=upsert tells which of two rows is newer: an older one never takes a newer one's place.",
        default=None,
    )
    create: bool = option("Make the table from the rows' schema if it isn't there.", default=False)
    commits: str | None = option(
        f"Table that remembers commits, SCHEMA.TABLE. Default: {COMMITS} beside the table.", default=None
    )


def check_options(options: WriteOptions, schema: pa.Schema) -> None:
    """Raise UsageError for options that contradict each other or the rows."""
    if options.mode != "upsert" and (options.version or options.key) and not (options.create and options.key):
        given = "version" if options.version else "key"
        raise UsageError(f"?{given} is for nothing without ?mode=upsert")
    if options.mode == "upsert" and options.create and not options.key:
        raise UsageError("?mode=upsert with ?create=true needs ?key=COLUMNS, which become the table's primary key")
    check_columns("key", options.key, schema)
    check_columns("version", [options.version] if options.version else [], schema)
    if options.version in options.key:
        raise UsageError(f"?version: '{options.version}' is part of the key, so it can't tell two rows of a key apart")


def check_columns(name: str, columns: Sequence[str], schema: pa.Schema) -> None:
    """Raise UsageError for a column that the rows don't have."""
    for column in columns:
        if column not in schema.names:
            raise UsageError(f"?{name}: the rows have no column '{column}'.{did_you_mean(column, schema.names)}")
