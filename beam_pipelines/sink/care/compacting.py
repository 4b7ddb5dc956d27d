"""Many small files of a lake → few large ones: the same rows, folder by folder."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.sink import formats, storage
from beam_pipelines.sink.care.changing import change, finish_others, identity
from beam_pipelines.sink.care.inventory import LiveFile, live_files, published
from beam_pipelines.sink.commit import AtStep, Manifest, no_step
from beam_pipelines.sink.folder_writer import FILE_BYTES, PARQUET, ROW_GROUP_BYTES, WrittenFile, temporary_prefix
from beam_pipelines.sink.runs import OutputError, RunIdentity

FOLDERS = ("rows", "aggregates", "late")
"""What may be compacted; dead letters are read by the run that refused them."""


def plan(
    output: str, folders: Sequence[str] = FOLDERS[:1], target_bytes: int = FILE_BYTES, *, spare: bool = False
) -> list[list[LiveFile]]:
    """Which files become one: small Parquet files of one folder and one schema, in the order of their names.

    `spare` leaves out files that are larger than all smaller ones together, so that who compacts again and again
    doesn't write the same rows again each time: how often grows with the logarithm of their number.

    UsageError for a folder that can't be compacted.
    """
    for folder in folders:
        if folder not in FOLDERS:
            raise UsageError(f"--folders: '{folder}' can't be compacted.{did_you_mean(folder, FOLDERS)}")
    together: dict[tuple[str, str], list[LiveFile]] = defaultdict(list)
    for file in live_files(published(output)):
        small = file.bytes < target_bytes // 2 and file.path.endswith(".parquet")
        if file.folder in folders and small and storage.is_local(file.path) and not file.path.startswith("/"):
            place = file.path.rpartition("/")[0]
            together[place, str(_schema(output, file).remove_metadata())].append(file)
    groups = []
    for key in sorted(together):
        group: list[LiveFile] = []
        chosen = _not_outgrown(together[key]) if spare else together[key]
        for file in sorted(chosen, key=lambda each: each.path):
            if group and sum(each.bytes for each in group) + file.bytes > target_bytes:
                groups.append(group)
                group = []
            group.append(file)
        groups.append(group)
    return [group for group in groups if len(group) > 1]


def compact(
    output: str,
    now: datetime,
    folders: Sequence[str] = FOLDERS[:1],
    target_bytes: int = FILE_BYTES,
    sort_by: Sequence[str] = (),
    at_step: AtStep = no_step,
    *,
    spare: bool = False,
) -> Manifest | None:
    """Compact a lake, as a run of its own; its manifest, or None if there was nothing to do.

    Memory is that of a row group; with `sort_by` that of a whole file of `target_bytes`. OutputError if rows would be
    lost: then nothing is changed. Streams may go on meanwhile; what they publish is left to the next time.
    """
    with storage.alone(f"{storage.root_of(output)}/_runs"):
        finish_others(output)
        groups = plan(output, folders, target_bytes, spare=spare)
        if not groups:
            return None
        replaced = [file.path for group in groups for file in group]
        run = identity("compact", replaced, now)
        written = [_merged(output, run, group, sort_by) for group in groups]
        return change(output, run, written, replaced, now, at_step)


def _not_outgrown(files: Sequence[LiveFile]) -> list[LiveFile]:
    """The smallest files, up to one that is larger than all before it.

    >>> sizes = [LiveFile("r", "rows", str(number), 1, size) for number, size in enumerate([64, 1, 1, 2, 9])]
    >>> [file.bytes for file in _not_outgrown(sizes)]
    [1, 1, 2]
    """
    chosen: list[LiveFile] = []
    for file in sorted(files, key=lambda each: each.bytes):
        if chosen and file.bytes > sum(each.bytes for each in chosen):
            break
        chosen.append(file)
    return chosen


def _merged(output: str, run: RunIdentity, group: Sequence[LiveFile], sort_by: Sequence[str]) -> WrittenFile:
    root = storage.root_of(output)
    schema = _schema(output, group[0])
    for name in sort_by:
        if name not in schema.names:
            raise UsageError(
                f"--sort_by: '{name}' is not a column of {group[0].path}.{did_you_mean(name, schema.names)}"
            )
    path = f"{group[0].path.rpartition('/')[0]}/{run.run_id}-{secrets.token_hex(8)}.parquet"
    file = formats.create(f"{temporary_prefix(root, run.run_id)}/{path}", schema, PARQUET)
    rows = 0
    try:
        waiting: list[pa.RecordBatch] = []
        for each in group:
            with storage.open_to_read(f"{root}/{each.path}") as stored:
                for batch in pq.ParquetFile(stored, pre_buffer=False).iter_batches():
                    waiting.append(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
                    rows += batch.num_rows
                    if not sort_by and sum(held.nbytes for held in waiting) >= ROW_GROUP_BYTES:
                        file.write(waiting)
                        waiting = []
        if sort_by:
            table = pa.Table.from_batches(waiting, schema).sort_by([(name, "ascending") for name in sort_by])
            waiting = table.to_batches()
        if waiting:
            file.write(waiting)
        file.close()
    except BaseException:
        file.abort()
        raise
    told = sum(each.rows for each in group)
    if rows != told:
        raise OutputError(f"{group[0].path} and its neighbours have {rows:,} rows where manifests tell {told:,}")
    return WrittenFile(group[0].folder, root, path, rows, 0, file.bytes)


def _schema(output: str, file: LiveFile) -> pa.Schema:
    with storage.open_to_read(f"{storage.root_of(output)}/{file.path}") as stored:
        return pq.ParquetFile(stored, pre_buffer=False).schema_arrow
