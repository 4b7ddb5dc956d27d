"""What a committed run left behind: its manifest, its balance, and what the launcher saw of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import runs, storage
from beam_pipelines.sink.care.inventory import manifests, of_care, where

LAUNCH = "launch.json"
"""Beside the manifest: what only the launcher knows, such as the engine that really ran."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A committed run, as its files tell it."""

    output: str
    manifest: Mapping[str, Any]
    balance: Mapping[str, Any]
    launch: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        return str(self.manifest["run_id"])

    @property
    def seconds(self) -> float | None:
        """From its start to its commit; None when the start isn't known."""
        started = self.manifest.get("started")
        if started is None:
            return None
        return (_time(self.manifest["created"]) - _time(started)).total_seconds()

    @property
    def engine(self) -> str:
        """The engine that really ran, as far as it is known."""
        known = self.launch.get("engine") or self.manifest.get("engine", {}).get("runner")
        return str(known or "not told")

    def files(self, folder: str) -> list[Mapping[str, Any]]:
        """The manifest's entries of one folder."""
        return [file for file in self.manifest["files"] if file["folder"] == folder]

    def rows(self, folder: str) -> int:
        """Rows in one folder's files."""
        return sum(file["rows"] for file in self.files(folder))

    @property
    def folders(self) -> list[str]:
        """The folders that the run wrote to, in the manifest's order."""
        return list(dict.fromkeys(file["folder"] for file in self.manifest["files"]))

    def parquet(self, folder: str) -> Iterator[pq.ParquetFile]:
        """Open the folder's Parquet files, one after the other."""
        for file in self.files(folder):
            if file["path"].endswith(".parquet"):
                with storage.open_to_read(where(self.output, file["path"])) as content:
                    yield pq.ParquetFile(content)

    def table(self, folder: str, columns: Sequence[str], most_rows: int) -> pa.Table:
        """Columns of at most so many rows of a folder's Parquet files."""
        batches: list[pa.RecordBatch] = []
        schema = pa.schema([])
        left = most_rows
        for file in self.parquet(folder):
            schema = file.schema_arrow
            for batch in file.iter_batches(columns=list(columns)):
                batches.append(batch.slice(0, left))
                left -= batches[-1].num_rows
                if left == 0:
                    return pa.Table.from_batches(batches)
        wanted = pa.schema([field.remove_metadata() for field in schema if field.name in columns])
        return pa.Table.from_batches(batches) if batches else wanted.empty_table().select(list(columns))


def load(output: str, run_id: str | None = None) -> Run:
    """Read a committed run, by default the last. UsageError when there is none."""
    committed = runs.committed_runs(output)
    if not committed:
        raise UsageError(f"{output} is no lake with a committed run: there is no manifest in its {runs.RUNS}/")
    if run_id is None:
        told = [each for each in manifests(output) if not of_care(each)] or manifests(output)
        run_id = str(told[-1]["run_id"])
    manifest = runs.committed_manifest(output, run_id)
    if manifest is None:
        raise runs.unknown_run(output, run_id)
    folder = runs.run_folder(output, run_id)
    return Run(output, manifest, _json(f"{folder}/balance.json"), _json(f"{folder}/{LAUNCH}"))


def column_names(output: str, run_id: str | None = None) -> set[str]:
    """Names of the columns that a run, or any committed run, wrote as rows in Parquet."""
    committed = runs.committed_runs(output)
    return {
        name
        for each in ([run_id] if run_id in committed else committed)
        for file in load(output, each).parquet("rows")
        for name in file.schema_arrow.names
    }


def _json(path: str) -> dict[str, Any]:
    content = storage.read(path)
    return {} if content is None else json.loads(content)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
