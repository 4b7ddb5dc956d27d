"""A Delta table that is read: one version of it, or what came between two; a part for each data file."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from beam_pipelines.columnar.batches import MAX_BATCH_ROWS
from beam_pipelines.delta.place import Place, StorageOptions, may_pass
from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.uris import Uri, read_options

if TYPE_CHECKING:
    from deltalake import DeltaTable as Opened

_WHOLE = "*"
"""The part that is all of a version: what can only be read by the engine of the library, not file by file."""


def _time(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a time such as 2024-05-01T12:00:00Z") from None


@dataclasses.dataclass(frozen=True)
class DeltaReadOptions(StorageOptions):
    """Options of a `delta://` URI that is read. Without one that names a version, the newest is read."""

    version: int | None = option("Version that is read.", default=None)
    as_of: str | None = option(
        "Read what the table was at this time, UTC if it names no zone.", default=None, metavar="TIME", check=_time
    )
    after: int | None = option(
        "Version: read only rows that came since. Refused if files were replaced since, by a change or a compaction.",
        default=None,
    )
    where: str | None = option(
        "Which rows are read, as an SQL predicate: country = 'DE'. Files that have none are left alone; one worker "
        "reads the rest.",
        default=None,
    )


OPTIONS = DeltaReadOptions


@dataclasses.dataclass(frozen=True)
class DeltaTable:
    """A Delta table, of which some columns are read, or all."""

    place: Place
    options: DeltaReadOptions
    wanted: tuple[str, ...] | None

    @property
    def name(self) -> str:
        return self.place.name

    def check(self) -> None:
        plan = _planned(self, self._window())
        if self.options.where is not None:
            self._scan(plan)

    def parts(self) -> Sequence[str]:
        window = Retries().call(self._window, self.name, may_pass)
        plan = _planned(self, window)
        whole = self.options.where is not None or plan.fragments is None
        return [f"{window}/{path}" for path in ([_WHOLE] if whole or plan.fragments is None else plan.fragments)]

    def read(self, part: str) -> Iterator[pa.RecordBatch]:
        window, _, path = part.partition("/")
        try:
            plan = Retries().call(lambda: _planned(self, window), self.name, may_pass)
            if path == _WHOLE:
                yield from pa.RecordBatchReader.from_stream(self._scan(plan))
                return
            assert plan.fragments is not None
            fragment = plan.fragments[path]
            yield from fragment.to_batches(
                schema=plan.schema, columns=list(plan.columns), batch_size=MAX_BATCH_ROWS, batch_readahead=2
            )
        except Exception:
            _planned.cache_clear()  # credentials end, and the next attempt asks for new ones
            raise

    def _window(self) -> str:
        """What is read: `VERSION`, or `AFTER..VERSION`."""
        asked = self.options
        if asked.version is not None and asked.as_of is not None:
            raise UsageError(f"{self.name}: ?version and ?as_of both say which version: leave one out")
        time = None
        if asked.as_of is not None:
            time = datetime.fromisoformat(asked.as_of)
            time = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
        newest = self.place.open()
        try:
            last = newest.version() if asked.version is None and time is None else self._opened(time).version()
        except UsageError:
            raise
        except Exception as wrong:
            said = f"?version={asked.version}" if asked.version is not None else f"?as_of={asked.as_of}"
            raise UsageError(
                f"{self.name}: {said}: there is no such version, or it is gone. The newest is {newest.version()}: "
                f"{wrong}"
            ) from None
        if asked.after is None:
            return str(last)
        if not 0 <= asked.after <= last:
            raise UsageError(f"{self.name}: ?after={asked.after}: there is no such version before {last}")
        return f"{asked.after}..{last}"

    def _opened(self, time: datetime | None) -> Opened:
        return self.place.open(self.options.version if time is None else time)

    def _scan(self, plan: _Plan) -> Any:
        try:
            return plan.table.scan(list(plan.columns), self.options.where)
        except Exception as wrong:  # the engine's own kinds
            if self.options.where is None:
                raise
            raise UsageError(f"{self.name}: ?where={self.options.where}: {wrong}") from None

    def _columns(self, schema: pa.Schema) -> tuple[str, ...]:
        chosen = [name for name in schema.names if self.wanted is None or name in self.wanted]
        if not chosen:
            raise UsageError(
                f"{self.name}: has none of the columns {', '.join(self.wanted or ())}. "
                f"There is: {', '.join(schema.names)}."
            )
        return tuple(chosen)


class _Plan(NamedTuple):
    """A version as it was opened, and its data files by their paths; None if it can't be read file by file."""

    table: Opened
    schema: pa.Schema
    columns: tuple[str, ...]
    fragments: Mapping[str, Any] | None


@functools.lru_cache(maxsize=4)
def _planned(source: DeltaTable, window: str) -> _Plan:
    """The plan of what is read: made once in a process, since it is the same for all parts."""
    after, _, last = window.rpartition("..")
    table = source.place.open(int(last))
    schema = pa.schema(table.schema())
    columns = source._columns(schema)
    fragments = _fragments(table)
    if not after:
        return _Plan(table, schema, columns, fragments)
    if fragments is None or source.options.where is not None:
        why = "?where" if fragments is not None else "a table whose rows are deleted or renamed within files"
        raise UsageError(f"{source.name}: ?after: isn't possible with {why}: read the whole version")
    earlier = _fragments(source.place.open(int(after))) or {}
    gone = earlier.keys() - fragments.keys()
    if gone:
        raise UsageError(
            f"{source.name}: ?after={after}: {len(gone):,} files were replaced since, by a change of rows or a "
            "compaction, so new files don't tell which rows are new: read the whole version"
        )
    return _Plan(table, schema, columns, {path: each for path, each in fragments.items() if path not in earlier})


def _fragments(table: Opened) -> dict[str, Any] | None:
    """The data files, or None if what they hold isn't what the table holds."""
    features = set(table.protocol().reader_features or ())
    if features & {"columnMapping", "deletionVectors"} or "delta.columnMapping.mode" in table.metadata().configuration:
        return None
    return {fragment.path: fragment for fragment in table.to_pyarrow_dataset().get_fragments()}


def table_of(uri: Uri, columns: tuple[str, ...] | None) -> DeltaTable:
    """The table that a URI names."""
    options = read_options(uri, DeltaReadOptions)
    return DeltaTable(Place.of(uri, options), options, columns)
