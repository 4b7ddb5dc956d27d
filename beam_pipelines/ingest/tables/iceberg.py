"""An Iceberg table that is read: one snapshot of it, or what was appended between two; a part for each data file."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.iceberg.catalog import CatalogOptions, Place, may_pass
from beam_pipelines.iceberg.scanning import rows_of
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.uris import Uri, read_options

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import FileScanTask
    from pyiceberg.table import Table as Opened
    from pyiceberg.table.snapshots import Snapshot


def _time(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a time such as 2024-05-01T12:00:00Z") from None


@dataclasses.dataclass(frozen=True)
class IcebergReadOptions(CatalogOptions):
    """Options of an `iceberg://` URI that is read. Without one that names a snapshot, the newest is read."""

    snapshot: int | None = option("Id of the snapshot that is read.", default=None)
    as_of: str | None = option(
        "Read what the table was at this time, UTC if it names no zone.", default=None, metavar="TIME", check=_time
    )
    ref: str | None = option("Branch or tag that is read. Default: main.", default=None)
    after: int | None = option(
        "Id of a snapshot: read only what was appended since. Refused if rows were replaced or deleted since.",
        default=None,
    )
    where: str | None = option(
        "Which rows are read, in Iceberg's words: country = 'DE' and placed_at >= '2024-01-01T00:00:00+00:00'. Files "
        "and partitions that have none are left alone.",
        default=None,
    )


OPTIONS = IcebergReadOptions


@dataclasses.dataclass(frozen=True)
class IcebergTable:
    """An Iceberg table, of which some columns are read, or all."""

    place: Place
    options: IcebergReadOptions
    wanted: tuple[str, ...] | None

    @property
    def name(self) -> str:
        return self.place.name

    def check(self) -> None:
        self._plan_of(self._window(self.place.open()))

    def parts(self) -> Sequence[str]:
        window = Retries().call(lambda: self._window(self.place.open()), self.name, may_pass)
        return [] if window is None else [f"{window}/{path}" for path in _planned(self, window).tasks]

    def read(self, part: str) -> Iterator[pa.RecordBatch]:
        window, _, path = part.partition("/")
        try:
            plan = Retries().call(lambda: _planned(self, window), self.name, may_pass)
            yield from rows_of(plan.table.io, plan.table.metadata, plan.tasks[path], plan.columns, plan.only)
        except Exception:
            _planned.cache_clear()  # a catalog's credentials end, and the next attempt asks for new ones
            raise

    def _plan_of(self, window: str | None) -> None:
        if window is None:
            self._columns(self.place.open(), None)
        else:
            _planned(self, window)

    def _window(self, table: Opened) -> str | None:
        """What is read: `SNAPSHOT`, or `AFTER..SNAPSHOT`. None if there is no snapshot yet."""
        asked = self.options
        named = [name for name in ("snapshot", "as_of", "ref") if getattr(asked, name) is not None]
        if len(named) > 1:
            raise UsageError(f"{self.name}: ?{named[0]} and ?{named[1]} both say which snapshot: leave one out")
        if asked.ref is not None and asked.ref not in table.refs():
            raise UsageError(f"{self.name}: ?ref: there is no branch or tag.{did_you_mean(asked.ref, table.refs())}")
        snapshot = self._snapshot(table)
        if asked.after is None:
            return None if snapshot is None else str(snapshot.snapshot_id)
        if snapshot is None:
            raise UsageError(f"{self.name}: ?after={asked.after}: the table has no snapshot yet")
        self._refuse_replaced(table, snapshot)
        return f"{asked.after}..{snapshot.snapshot_id}"

    def _snapshot(self, table: Opened) -> Snapshot | None:
        asked = self.options
        if asked.snapshot is not None:
            found = table.snapshot_by_id(asked.snapshot)
            if found is None:
                raise UsageError(
                    f"{self.name}: ?snapshot={asked.snapshot}: there is no such snapshot, or it has expired. "
                    f"{_newest(table)}"
                )
            return found
        if asked.as_of is not None:
            time = datetime.fromisoformat(asked.as_of)
            time = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
            found = table.snapshot_as_of_timestamp(int(time.timestamp() * 1000))
            if found is None:
                raise UsageError(f"{self.name}: ?as_of={asked.as_of}: there was no snapshot yet, or it has expired")
            return found
        return table.snapshot_by_name(asked.ref or "main")

    def _refuse_replaced(self, table: Opened, last: Snapshot) -> None:
        from pyiceberg.table.snapshots import Operation, ancestors_of

        for snapshot in ancestors_of(last, table.metadata):
            if snapshot.snapshot_id == self.options.after:
                return
            operation = snapshot.summary.operation if snapshot.summary is not None else Operation.OVERWRITE
            if operation not in (Operation.APPEND, Operation.REPLACE):
                raise UsageError(
                    f"{self.name}: ?after={self.options.after}: snapshot {snapshot.snapshot_id} replaced or deleted "
                    f"rows ({operation.value}), so what came since isn't all that changed: read the whole snapshot"
                )
        raise UsageError(
            f"{self.name}: ?after={self.options.after}: it isn't among the snapshots before {last.snapshot_id}. "
            f"{_newest(table)}"
        )

    def _columns(self, table: Opened, snapshot: Snapshot | None) -> tuple[str, ...]:
        """The columns that are read, of those that the snapshot has."""
        schema = table.schema()
        if snapshot is not None and snapshot.schema_id is not None:
            schema = table.schemas()[snapshot.schema_id]
        names = [field.name for field in schema.fields]
        chosen = names if self.wanted is None else [name for name in names if name in self.wanted]
        if not chosen:
            raise UsageError(
                f"{self.name}: has none of the columns {', '.join(self.wanted or ())}. There is: {', '.join(names)}."
            )
        return tuple(chosen)

    def _filter(self) -> BooleanExpression:
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.expressions.parser import parse

        if self.options.where is None:
            return AlwaysTrue()
        try:
            return parse(self.options.where)
        except Exception as wrong:  # the parser's own kinds
            raise UsageError(f"{self.name}: ?where={self.options.where}: {wrong}") from None


class _Plan(NamedTuple):
    """A table as it was opened, and its data files by their paths."""

    table: Opened
    columns: Any
    only: BooleanExpression
    tasks: Mapping[str, FileScanTask]


@functools.lru_cache(maxsize=4)
def _planned(source: IcebergTable, window: str) -> _Plan:
    """The plan of what is read: made once in a process, since it is the same for all parts."""
    table, only = source.place.open(), source._filter()
    after, _, last = window.rpartition("..")
    snapshot = table.snapshot_by_id(int(last))
    if snapshot is None:
        raise UsageError(f"{source.name}: snapshot {last} has expired while it was read")
    columns = source._columns(table, snapshot)
    with source.place.speaking():
        scan = table.scan(only, columns, snapshot_id=int(last))
        tasks: Iterable[FileScanTask] = ()
        if after and after != last:
            since = table.incremental_append_scan(row_filter=only, selected_fields=columns)
            tasks = since.from_snapshot_id_exclusive(int(after)).to_snapshot_id_inclusive(int(last)).plan_files()
        elif not after:
            tasks = scan.plan_files()
        return _Plan(table, scan.projection(), only, {task.file.file_path: task for task in tasks})


def _newest(table: Opened) -> str:
    newest = [str(snapshot.snapshot_id) for snapshot in table.snapshots()[-3:]]
    return f"The newest: {', '.join(newest)}" if newest else "There is none"


def table_of(uri: Uri, columns: tuple[str, ...] | None) -> IcebergTable:
    """The table that a URI names."""
    options = read_options(uri, IcebergReadOptions)
    return IcebergTable(Place.of(uri, options), options, columns)
