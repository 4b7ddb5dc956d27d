"""One attempt to commit staged files to an Iceberg table: append, upsert, or overwrite of partitions.

It finds whether the commit is there already, makes the files the table's, and asks the catalog for one new snapshot on
top of the one it has seen. If another writer was faster, the catalog refuses, and the next attempt begins from the
start: it looks for the commit's id again, and plans what is replaced anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.iceberg.files import Folder, Writer, scanned, take
from beam_pipelines.sink.tables.iceberg.upsert import Keys
from beam_pipelines.sink.tables.table import Committed, StagedFile

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table, Transaction
    from pyiceberg.table.snapshots import Snapshot

    from beam_pipelines.sink.tables.iceberg.table import IcebergTable

COMMIT = "beam-pipelines.commit-id"
ROWS = "beam-pipelines.rows"
"""Keys in a snapshot's summary: which commit it is, and how many rows that had."""


class Attempt:
    """What is needed for one attempt."""

    def __init__(self, sink: IcebergTable, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> None:
        self._sink = sink
        self._commit_id = commit_id
        self._files = files
        self._at_step = at_step
        self._branch = sink.options.branch

    def run(self) -> Committed:
        """Commit, or find that it is done. CommitFailedException if another writer was faster."""
        table = self._sink.open_or_create()
        before = self._before(table)
        if before is not None:
            self._sweep(table, before)
            return _told(before, True)
        rows = sum(file.rows for file in self._files)
        if not rows and self._sink.options.mode != "overwrite":
            return Committed(0, False, {})
        transaction = table.transaction()
        if self._sink.options.evolve:
            self._sink.evolve(transaction)
        folder = Folder(table, transaction.table_metadata, self._commit_id)
        added = take(self._files, folder)
        replaced, kept = self._replaced(table, folder, added)
        summary = {COMMIT: self._commit_id, ROWS: str(rows)}
        update = transaction.update_snapshot(snapshot_properties=summary, branch=self._branch)
        with update.overwrite() if replaced else update.merge_append() as snapshot:
            for data_file in [*added, *kept]:
                snapshot.append_data_file(data_file)
            for data_file in replaced:
                snapshot.delete_data_file(data_file)
        self._at_step("loaded")
        self._ask(table, transaction)
        self._at_step("stored")
        done = self._before(table)
        assert done is not None
        self._sweep(table, done)
        return _told(done, False)

    def _ask(self, table: Table, transaction: Transaction) -> None:
        """Ask the catalog, once.

        Left to itself, pyiceberg would try again without looking whether a second attempt of this commit was faster,
        and would delete the manifests of one that the catalog calls failed, though an answer before was lost.
        """
        from pyiceberg.exceptions import CommitFailedException

        snapshots, transaction._snapshot_producers = transaction._snapshot_producers, []
        try:
            transaction.commit_transaction()
        except CommitFailedException:
            table.refresh()
            if self._before(table) is None:
                for snapshot in snapshots:
                    snapshot._clean_all_uncommitted()
            raise

    def _before(self, table: Table) -> Snapshot | None:
        """The snapshot that this commit has made, if it is among the branch's."""
        from pyiceberg.table.snapshots import ancestors_of

        for snapshot in ancestors_of(table.metadata.snapshot_by_name(self._branch), table.metadata):
            if snapshot.summary is not None and snapshot.summary[COMMIT] == self._commit_id:
                return snapshot
        return None

    def _sweep(self, table: Table, snapshot: Snapshot) -> None:
        named = {
            entry.data_file.file_path
            for manifest in snapshot.manifests(table.io)
            if manifest.added_snapshot_id == snapshot.snapshot_id
            for entry in manifest.fetch_manifest_entry(table.io)
        }
        Folder(table, table.metadata, self._commit_id).sweep(named)

    def _replaced(
        self, table: Table, folder: Folder, added: Sequence[DataFile]
    ) -> tuple[list[DataFile], list[DataFile]]:
        """The data files that are taken out of the table, and new ones with those of their rows that stay."""
        if self._sink.options.mode == "append" or table.metadata.snapshot_by_name(self._branch) is None:
            return [], []
        if self._sink.options.mode == "overwrite":
            return [task.file for task in self._tasks(table) if self._is_overwritten(folder, task, added)], []
        return self._without_keys(table, folder)

    def _is_overwritten(self, folder: Folder, task: FileScanTask, added: Sequence[DataFile]) -> bool:
        if folder.metadata.spec().is_unpartitioned():
            return True
        if task.file.spec_id != folder.metadata.default_spec_id:
            raise UsageError(
                f"{self._sink.name}: ?mode=overwrite: the table has files of an earlier partition spec, whose "
                "partitions aren't those of the rows: rewrite them first, or use mode=upsert"
            )
        return any(task.file.partition == each.partition for each in added)

    def _without_keys(self, table: Table, folder: Folder) -> tuple[list[DataFile], list[DataFile]]:
        keys = Keys.of(self._files, folder.metadata.schema(), self._sink.key(folder.metadata.schema()), self._sink.name)
        writer = Writer(folder)
        replaced = []
        for task in self._tasks(table, keys.range()):
            gone = keys.rows_in(scanned(folder, task, keys.names))
            if not len(gone):
                continue
            replaced.append(task.file)
            start = 0
            for batch in scanned(folder, task):
                stays = keys.staying(batch, gone, start)
                start += batch.num_rows
                if stays.num_rows:
                    writer.write(stays)
        return replaced, writer.close()

    def _tasks(self, table: Table, only: Any = None) -> list[FileScanTask]:
        snapshot = table.metadata.snapshot_by_name(self._branch)
        assert snapshot is not None
        scan = table.scan(snapshot_id=snapshot.snapshot_id)
        return list((scan if only is None else scan.filter(only)).plan_files())


def _told(snapshot: Snapshot, before: bool) -> Committed:
    rows = int((snapshot.summary and snapshot.summary[ROWS]) or 0)
    return Committed(rows, before, {"snapshot": str(snapshot.snapshot_id)})
