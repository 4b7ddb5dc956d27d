"""Care of a Delta table, by what the library has: optimize, restore, vacuum."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from beam_pipelines.delta.place import Place, may_pass
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.retries import Retries
from beam_pipelines.sink.tables.care import Compacted, Version
from beam_pipelines.sink.tables.delta.commit import COMMIT, ROWS
from beam_pipelines.uris import Uri


@dataclasses.dataclass(frozen=True)
class DeltaCare:
    """A Delta table that is cared for: `sink.tables.care.TableCare`."""

    place: Place

    def history(self) -> list[Version]:
        table = self.place.open()
        found = []
        for line in reversed(table.history()):
            created = datetime.fromtimestamp(line["timestamp"] / 1000, timezone.utc)
            rows = int(line[ROWS]) if ROWS in line else None
            version = int(line["version"])
            told = (str(version), created.isoformat(), str(line["operation"]))
            found.append(Version(*told, line.get(COMMIT), rows, version == table.version()))
        return found

    def compact(self, target_bytes: int, sort_by: Sequence[str]) -> Compacted | None:
        """With `sort_by` all files are written anew in Z-order, which keeps rows together that are near each other."""
        columns = [field.name for field in self.place.open().schema().fields]
        for name in sort_by:
            if name not in columns:
                raise UsageError(
                    f"--sort_by: '{name}' is not a column of {self.place.name}.{did_you_mean(name, columns)}"
                )

        def once() -> dict[str, Any]:
            with self.place.speaking():
                optimize = self.place.open().optimize
                if sort_by:
                    return optimize.z_order(list(sort_by), target_size=target_bytes)
                return optimize.compact(target_size=target_bytes)

        told = Retries().call(once, self.place.name, may_pass)
        before, after = int(told["numFilesRemoved"]), int(told["numFilesAdded"])
        return Compacted(before, after) if before else None

    def rollback(self, version: str) -> None:
        table = self.place.open()
        if not version.isdecimal() or int(version) > table.version():
            raise UsageError(f"{self.place.name}: there is no version '{version}': the newest is {table.version()}")
        self.place.open(int(version))  # which tells if it is gone
        with self.place.speaking():
            try:
                table.restore(int(version))
            except Exception as refused:  # the library has no kind for files that a vacuum has deleted
                raise UsageError(f"{self.place.name}: version {version} can't be restored: {refused}") from None

    def vacuum(self, older_than: timedelta, dry_run: bool) -> list[str]:
        hours = int(older_than.total_seconds() // 3600)
        with self.place.speaking():
            try:
                return self.place.open().vacuum(hours, dry_run=dry_run, full=True)
            except Exception as refused:  # the library's only kind
                if "retention" not in str(refused).casefold():
                    raise
                raise UsageError(
                    f"--older_than: {hours} hours are less than {self.place.name} keeps for its readers "
                    "(delta.deletedFileRetentionDuration, a week unless it says otherwise)"
                ) from None


def care_of(uri: Uri) -> DeltaCare:
    """The care of the table that a URI names."""
    return DeltaCare(Place.of(uri))
