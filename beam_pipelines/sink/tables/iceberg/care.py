"""Care of an Iceberg table's main branch: pyiceberg forgets and goes back; files are written anew and deleted here."""

from __future__ import annotations

import dataclasses
import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.iceberg.catalog import Place, may_pass
from beam_pipelines.retries import Retries
from beam_pipelines.sink.tables.care import Compacted, Version
from beam_pipelines.sink.tables.iceberg.commit import COMMIT
from beam_pipelines.sink.tables.iceberg.files import Folder, Writer, scanned
from beam_pipelines.uris import Uri

if TYPE_CHECKING:
    from pyiceberg.table import FileScanTask, Table


@dataclasses.dataclass(frozen=True)
class IcebergCare:
    """An Iceberg table that is cared for: `sink.tables.care.TableCare`."""

    place: Place

    def history(self) -> list[Version]:
        table = self.place.open()
        now = table.current_snapshot()
        found = []
        for snapshot in table.snapshots():
            created = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, timezone.utc).isoformat()
            summary = snapshot.summary
            operation = summary.operation.value if summary is not None else "unknown"
            rows = None if summary is None else int(summary["added-records"] or 0)
            commit_id = None if summary is None else summary[COMMIT]
            current = now is not None and snapshot.snapshot_id == now.snapshot_id
            found.append(Version(str(snapshot.snapshot_id), created, operation, commit_id, rows, current))
        return found

    def compact(self, target_bytes: int, sort_by: Sequence[str]) -> Compacted | None:
        """Memory is that of a few rows; with `sort_by` that of a file of `target_bytes`, in Arrow."""

        def once() -> Compacted | None:
            with self.place.speaking():
                return self._compact(self.place.open(), target_bytes, sort_by)

        return Retries().call(once, self.place.name, may_pass)

    def _compact(self, table: Table, target_bytes: int, sort_by: Sequence[str]) -> Compacted | None:
        names = [field.name for field in table.schema().fields]
        for name in sort_by:
            if name not in names:
                raise UsageError(
                    f"--sort_by: '{name}' is not a column of {self.place.name}.{did_you_mean(name, names)}"
                )
        groups = list(_groups(table, target_bytes))
        if not groups:
            return None
        transaction = table.transaction()
        folder = Folder(table, table.metadata, f"compact-{secrets.token_hex(8)}")
        added = []
        for group in groups:
            writer = Writer(folder, target_bytes)
            for batch in _rows(folder, group, sort_by):
                writer.write(batch)
            added += writer.close()
        replaced = [task.file for group in groups for task in group]
        before, after = sum(file.record_count for file in replaced), sum(file.record_count for file in added)
        deleted = any(task.delete_files for group in groups for task in group)
        if before != after and not deleted:
            raise UsageError(f"{self.place.name}: files told {before:,} rows and have {after:,}: nothing was changed")
        with transaction.update_snapshot().overwrite() as snapshot:
            for file in added:
                snapshot.append_data_file(file)
            for file in replaced:
                snapshot.delete_data_file(file)
        # Left to itself, pyiceberg would put it on top of snapshots that it hasn't looked at.
        transaction._snapshot_producers = []
        transaction.commit_transaction()
        return Compacted(len(replaced), len(added))

    def rollback(self, version: str) -> None:
        table = self.place.open()
        if not version.isdecimal() or table.snapshot_by_id(int(version)) is None:
            near = did_you_mean(version, [str(snapshot.snapshot_id) for snapshot in table.snapshots()])
            raise UsageError(f"{self.place.name}: there is no snapshot '{version}'.{near}")
        with self.place.speaking():
            table.manage_snapshots().set_current_snapshot(int(version)).commit()

    def vacuum(self, older_than: timedelta, dry_run: bool) -> list[str]:
        """Forgets snapshots that no branch or tag ends in; with `dry_run`, tells files that nobody needs now."""
        table, until = self.place.open(), datetime.now(timezone.utc) - older_than
        with self.place.speaking():
            if not dry_run:
                table.maintenance.expire_snapshots().older_than(until).commit()
                table = self.place.open()
            gone = list(_unneeded(table, until))
            for system, path in [] if dry_run else gone:
                system.delete_file(path)
        return [path for _, path in gone]


def _groups(table: Table, target_bytes: int) -> Iterator[list[FileScanTask]]:
    """Small files of one partition that become one. Those of an earlier partition spec stay as they are."""
    together: dict[Any, list[FileScanTask]] = defaultdict(list)
    spec = table.metadata.default_spec_id
    for task in table.scan().plan_files() if table.current_snapshot() is not None else ():
        if task.file.spec_id == spec and task.file.file_size_in_bytes < target_bytes // 2:
            together[tuple(task.file.partition[place] for place in range(len(task.file.partition)))].append(task)
    for tasks in together.values():
        group: list[FileScanTask] = []
        for task in sorted(tasks, key=lambda each: each.file.file_path):
            if sum(each.file.file_size_in_bytes for each in group) + task.file.file_size_in_bytes > target_bytes:
                if len(group) > 1:
                    yield group
                group = []
            group.append(task)
        if len(group) > 1:
            yield group


def _rows(folder: Folder, group: Sequence[FileScanTask], sort_by: Sequence[str]) -> Iterator[pa.RecordBatch]:
    if not sort_by:
        for task in group:
            yield from scanned(folder, task)
        return
    batches = [batch for task in group for batch in scanned(folder, task)]
    if batches:
        table = pa.Table.from_batches(batches).sort_by([(name, "ascending") for name in sort_by])
        yield from table.combine_chunks().to_batches(max_chunksize=65_536)


def _unneeded(table: Table, until: datetime) -> Iterator[tuple[Any, str]]:
    """Files below the table that no snapshot and no metadata names, and that nothing has touched for long."""
    from pyiceberg.io.pyarrow import PyArrowFileIO

    if not isinstance(table.io, PyArrowFileIO):
        raise UsageError(f"{'.'.join(table.name())}: its files can't be listed by {type(table.io).__name__}")
    metadata = table.metadata
    named = {table.metadata_location, *(each.metadata_file for each in metadata.metadata_log)}
    named |= {each.statistics_path for each in [*metadata.statistics, *metadata.partition_statistics]}
    for snapshot in metadata.snapshots:
        named.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            named.add(manifest.manifest_path)
            named |= {
                each.data_file.file_path for each in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            }
    kept = {PyArrowFileIO.parse_location(each, table.io.properties)[2] for each in named}
    scheme, netloc, root = PyArrowFileIO.parse_location(table.location(), table.io.properties)
    system = table.io.fs_by_scheme(scheme, netloc)
    for folder in ("data", "metadata"):
        selector = pa.fs.FileSelector(f"{root.rstrip('/')}/{folder}", recursive=True, allow_not_found=True)
        for found in system.get_file_info(selector):
            if found.is_file and found.path not in kept and found.mtime is not None and found.mtime < until:
                yield system, found.path


def care_of(uri: Uri) -> IcebergCare:
    """The care of the table that a URI names."""
    return IcebergCare(Place.of(uri))
