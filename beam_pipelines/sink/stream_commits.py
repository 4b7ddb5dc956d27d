"""What a stream has written, told to readers bit by bit: a record for each bundle, and a manifest when it ends.

A stream has no last step, so each bundle's files are published by themselves: moved to their places, then named by a
record `_runs/RUN_ID/stream/ID.json`, which is created if absent, so that to publish twice changes nothing. What is
in the lake is what records name. When the stream ends, the records become the run's `manifest.json`, and go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple

from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import READ, Balance, LedgerEntry, LedgerKey
from beam_pipelines.sink import publishing, runs, storage
from beam_pipelines.sink.commit import Manifest
from beam_pipelines.sink.folder_writer import WrittenFile, temporary_prefix
from beam_pipelines.sink.runs import BalanceError, RunIdentity
from beam_pipelines.sink.tables.committing import apart, commit_to_tables
from beam_pipelines.sink.tables.table import Table

_READERS = 16


class StreamRecord(NamedTuple):
    """What a bundle wrote: an id that no other bundle has, its files and its ledger entries."""

    id: str
    files: tuple[WrittenFile, ...]
    entries: tuple[LedgerEntry, ...]
    in_tables: tuple[str, ...] = ()
    """Folders whose files' rows were committed to tables, so that the lake doesn't have them."""

    def to_json(self) -> str:
        """Text from which `from_json` makes the record again."""
        told = {"id": self.id, "files": self.files, "entries": self.entries, "in_tables": self.in_tables}
        return json.dumps(told, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> StreamRecord:
        """Read what `to_json` wrote.

        >>> record = StreamRecord("a1", (WrittenFile("rows", "/lake", "rows/a.parquet", 10, 0, 500),), ())
        >>> StreamRecord.from_json(record.to_json()) == record
        True
        """
        content: Mapping[str, Any] = json.loads(text)
        files = tuple(WrittenFile(*file) for file in content["files"])
        entries = tuple((tuple(key), rows) for key, rows in content["entries"])
        return cls(content["id"], files, entries, tuple(content.get("in_tables", ())))


def publish(
    output: str, run_id: str, records: Iterable[StreamRecord], tables: Mapping[str, Table] | None = None
) -> None:
    """Move the files of records to their places and name them; of records that are published already, nothing.

    Files of the folders of `tables` are committed to these under the record's id.

    After the stream's end nothing is published any more: what comes then was written by an attempt that the manifest
    doesn't know, and is deleted with the run's temporary files.
    """
    ended = storage.exists(runs.manifest_path(output, run_id))
    for record in records:
        path = f"{_folder(output, run_id)}/{record.id}.json"
        if ended or storage.exists(path):
            continue
        # Of a folder without rows one empty file is published, and whether there are any is known at the end.
        lake, staged = apart([file for file in record.files if file.rows], tables or {})
        for _ in storage.move(_moves(run_id, lake)):
            pass
        filled = {folder: table for folder, table in (tables or {}).items() if staged.get(folder)}
        commit_to_tables(run_id, staged, filled, commit_id=f"{run_id}-{record.id}")
        record = record._replace(in_tables=tuple(tables or ()))
        storage.write_if_absent(path, record.to_json().encode() + b"\n", _scratch(output, run_id))


def published(output: str, run_id: str) -> Iterator[StreamRecord]:
    """The records of a stream that goes on, or went on until it was stopped."""
    return _read(storage.list_below(_folder(output, run_id)))


def begun(output: str) -> dict[str, Iterator[StreamRecord]]:
    """Run id and records of each stream of a lake that goes on, was stopped, or is just ending."""
    found: dict[str, list[str]] = {}
    root = f"{storage.root_of(output)}/{runs.RUNS}/"
    for path in storage.list_below(root.removesuffix("/")):
        run_id, _, rest = path.removeprefix(root).partition("/")
        if rest.startswith("stream/"):
            found.setdefault(run_id, []).append(path)
    return {run_id: _read(paths) for run_id, paths in found.items()}


def _read(paths: Sequence[str]) -> Iterator[StreamRecord]:
    with ThreadPoolExecutor(_READERS) as readers:
        for content in readers.map(storage.read, paths):
            if content is not None:
                yield StreamRecord.from_json(content.decode())


def balance_at_end(output: str, run_id: str, rest: Iterable[StreamRecord]) -> Balance:
    """The balance of all that was published and of the records that remain. BalanceError if it doesn't hold."""
    records = _all(output, run_id, rest)
    files = [file for record in records for file in record.files]
    if not any(LedgerKey(*key).outcome == READ for record in records for key, _ in record.entries):
        raise BalanceError(
            f"run '{run_id}': the runner ended the stream before its source began, so nothing was read. Flink is known "
            "to do so now and then when a checkpoint comes early (see docs/streams.md): run it again"
        )
    balance = Balance.of([*(entry for record in records for entry in record.entries), *publishing.entries_of(files)])
    if balance.differences:
        differences = "\n".join(f"  {difference}" for difference in balance.differences)
        raise BalanceError(
            f"run '{run_id}', a stream that ended, doesn't balance:\n{differences}\n"
            f"  What it published until then stays; its records are in {_folder(output, run_id)}"
        )
    return balance


def balance_so_far(output: str, run_id: str) -> Balance:
    """The balance of what a stream that goes on has published."""
    records = list(published(output, run_id))
    files = [file for record in records for file in record.files]
    return Balance.of([*(entry for record in records for entry in record.entries), *publishing.entries_of(files)])


def end(
    output: str,
    run: RunIdentity,
    rest: Iterable[StreamRecord],
    tables: Mapping[str, Table],
    clock: Callable[[], datetime],
) -> Manifest:
    """Publish what remains, and make all records the run's manifest; return it, or the one that is there."""
    rest = list(rest)
    roots = {file.root for record in _all(output, run.run_id, rest) for file in record.files}
    committed = runs.settled(output, run)
    if committed is None:
        publish(output, run.run_id, rest, tables)
        balance = balance_at_end(output, run.run_id, rest)
        files = [file for record in _all(output, run.run_id, rest) for file in record.files]
        files, _ = apart(files, tables)
        kept = publishing.worth_keeping(files)
        for _ in storage.move(_moves(run.run_id, [file for file in kept if not file.rows])):
            pass
        publishing.write_balance(output, run, balance)
        manifest = publishing.manifest_of(output, run, files, balance, clock())
        content = json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n"
        storage.write_if_absent(runs.manifest_path(output, run.run_id), content, _scratch(output, run.run_id))
        committed = runs.settled(output, run)
        assert committed is not None
    storage.delete_below(_folder(output, run.run_id))
    for root in {storage.root_of(output), *roots}:
        storage.delete_below(temporary_prefix(root, run.run_id))
    return committed


def refuse_begun(output: str, run_id: str) -> None:
    """UsageError if a stream of this name was begun and hasn't ended: starting it again would count rows twice."""
    if storage.any_file_below(_folder(output, run_id)):
        raise UsageError(
            f"--run_id: '{run_id}' is a stream that was begun in {output} and hasn't ended. A runner restarts it from "
            "its checkpoint by itself; to start from the beginning, name another --run_id"
        )


def _all(output: str, run_id: str, rest: Iterable[StreamRecord]) -> list[StreamRecord]:
    return list({record.id: record for record in (*published(output, run_id), *rest)}.values())


def _folder(output: str, run_id: str) -> str:
    return f"{runs.run_folder(output, run_id)}/stream"


def _scratch(output: str, run_id: str) -> str:
    return temporary_prefix(storage.root_of(output), run_id)


def _moves(run_id: str, files: Iterable[WrittenFile]) -> list[tuple[str, str]]:
    """Temporary and final path of each file."""
    return [(f"{temporary_prefix(file.root, run_id)}/{file.path}", f"{file.root}/{file.path}") for file in files]
