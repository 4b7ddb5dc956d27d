"""What a table is to whoever writes it: columns that rows have to fit, and commits that have names.

A store is one module with a class that has these methods, and a line in `known`. Bundles stage rows as Parquet files;
one commit takes all files of a run (of a stream: of a bundle) and is known to the store by its id, so that who is
killed and tries again changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.folder_writer import FILE_BYTES


class StagedFile(NamedTuple):
    """A Parquet file with all columns of the rows, on one of Beam's file systems; it is deleted after the commit."""

    path: str
    rows: int
    bytes: int


class Committed(NamedTuple):
    """What a commit came to. `told` goes into the run's manifest: a snapshot, a version, a job's id."""

    rows: int
    before: bool
    """Whether the store had the commit already, so that nothing was done."""
    told: Mapping[str, str | int]


@dataclasses.dataclass(frozen=True)
class Column:
    """What a column of the table takes: values that cast to `type` without loss."""

    name: str
    type: pa.DataType
    required: bool = False
    longest: int | None = None
    """Characters of a text, bytes of a binary."""
    longest_bytes: int | None = None
    """Bytes of a text in UTF-8."""
    pattern: str | None = None
    """A regular expression (RE2) that a text has to match in whole."""
    nul: bool = True
    """Whether a text may hold the character NUL."""
    json: bool = False
    """Whether texts are JSON."""
    inner: pa.DataType | None = None
    """The type again, if it matters which of its inner fields and items may be null."""
    calendar: bool = False
    """Whether times, inner ones too, have to be within the years 1 to 9999."""
    finite: bool = False
    """Whether a number has to be one: no NaN, no infinity."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the files of bundles are like, where a store takes them as its own data files."""

    schema: pa.Schema
    """Their columns, with `partition_by`; its metadata is in the files."""

    partition_by: tuple[str, ...] = ()
    """Columns that make Hive folders, and aren't in files."""

    cut: Callable[[pa.RecordBatch], Iterator[tuple[str, pa.RecordBatch]]] | None = None
    """How rows are cut into folders instead, if not by columns; files keep all columns. Picklable."""

    file_bytes: int = FILE_BYTES
    """Size at which a file is finished."""


class Table(Hashable, Protocol):
    """A table, and how rows of one schema are written to it: picklable, compared by value, without secrets."""

    @property
    def name(self) -> str:
        """The table in messages and manifests: its URI without options."""

    def check(self) -> None:
        """Connect, where the pipeline is made, and look: can rows of the schema be written?

        UsageError for wrong credentials, a table or column that isn't there (and isn't to be made), a type that no
        value of fits, options that contradict the table.
        """

    def columns(self) -> Sequence[Column]:
        """What the table takes of rows of the schema; asked once by each worker, which judges rows by it."""

    def commit(self, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        """Put the rows of all files into the table, all or none, unless it knows a commit of this id.

        Called on one worker at a time, with no files too (which empties what is to be overwritten). What may pass by
        itself is tried again as the shared policy says; UsageError for what a person has to mend: then nothing of
        the commit is in the table. `at_step` is told "loaded" (before the store is asked to commit) and "stored"
        (after it has): tests kill the process there.
        """


@runtime_checkable
class TableOfFiles(Table, Protocol):
    """A table that is made of Parquet files, of which those that bundles stage become some: rows are written once."""

    def layout(self) -> Layout:
        """What the files have to be like; asked after `check`, where the pipeline is made."""
