"""A store for tests alone: a folder of JSON files, one for each commit, whose name is the commit's id.

URI: `shelf://here/FOLDER?longest=N`. It shows what the sinks' common part asks of a store, without a server.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.committing import staged_batches
from beam_pipelines.sink.tables.table import Column, Committed, StagedFile
from beam_pipelines.uris import Uri, read_options


@dataclasses.dataclass(frozen=True)
class ShelfOptions:
    longest: int | None = option("Longest text.", default=None)
    refuse: bool = option("Whether commits are refused.", default=False)


@dataclasses.dataclass(frozen=True)
class Shelf:
    folder: str
    schema: pa.Schema
    options: ShelfOptions

    @property
    def name(self) -> str:
        return f"shelf://here/{self.folder}"

    def check(self) -> None:
        if not Path(self.folder).is_dir():
            raise UsageError(f"{self.name}: there is no such folder")

    def columns(self) -> Sequence[Column]:
        return [Column(field.name, field.type, longest=self._longest(field.type)) for field in self.schema]

    def commit(self, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> Committed:
        place = Path(self.folder, f"{commit_id}.json")
        if self.options.refuse:
            raise UsageError(f"{self.name}: refused")
        if place.exists():
            return Committed(len(json.loads(place.read_text())), True, {"commit": commit_id})
        rows = [row for batch in staged_batches(files) for row in batch.to_pylist()]
        new = place.with_suffix(".new")
        new.write_text(json.dumps(rows, default=str))
        at_step("loaded")
        new.rename(place)
        at_step("stored")
        return Committed(len(rows), False, {"commit": commit_id})

    def _longest(self, kind: pa.DataType) -> int | None:
        return self.options.longest if pa.types.is_string(kind) else None


def table_of(uri: Uri, schema: pa.Schema) -> Shelf:
    return Shelf(f"/{uri.path}", schema, read_options(uri, ShelfOptions))


def rows_in(folder: Path) -> list[dict[str, object]]:
    """All rows of all commits."""
    return [row for file in sorted(folder.glob("*.json")) for row in json.loads(file.read_text())]
