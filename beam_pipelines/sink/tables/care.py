"""Care of a table: its history, few large files of many small ones, an earlier state again, unneeded files deleted."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

from beam_pipelines.errors import UsageError
from beam_pipelines.uris import Uri, parse_uri

_MODULES = {
    **dict.fromkeys(("delta", "delta+s3", "delta+gs", "delta+abfss"), "beam_pipelines.sink.tables.delta.care"),
    "iceberg": "beam_pipelines.sink.tables.iceberg.care",
}
"""Scheme → module whose `care_of(uri)` cares for a table."""


class Version(NamedTuple):
    """A state of a table that was committed."""

    id: str
    """A snapshot's id, a version's number."""
    created: str
    """ISO 8601, UTC."""
    operation: str
    commit_id: str | None
    """Under which one of our commits made it."""
    rows: int | None
    """Rows that it added, as far as the store tells."""
    current: bool


class Compacted(NamedTuple):
    """How many files became how many others."""

    before: int
    after: int


class TableCare(Protocol):
    """How a store's tables are cared for. UsageError for what a person has to mend."""

    def history(self) -> Sequence[Version]:
        """The versions that can still be read, oldest first."""

    def compact(self, target_bytes: int, sort_by: Sequence[str]) -> Compacted | None:
        """Make few large files of many small ones, in one commit, on top of what others commit meanwhile; None if
        there was nothing to do."""

    def rollback(self, version: str) -> None:
        """Make an earlier version the current one, in a commit."""

    def vacuum(self, older_than: timedelta, dry_run: bool) -> Sequence[str]:
        """Forget versions that are older, where the store lets us, and delete files that no version needs."""


def care_of(output: str) -> TableCare | None:
    """The care of the table that a URI names; None for what isn't one, such as a lake's folder."""
    scheme = output.partition("://")[0].casefold()
    if scheme not in _MODULES:
        return None
    uri: Uri = parse_uri(output, _MODULES)
    care: TableCare = importlib.import_module(_MODULES[uri.scheme]).care_of(uri)
    return care


def refuse_options(output: str, given: dict[str, bool]) -> None:
    """UsageError for options of a command that mean nothing for this store's tables."""
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option}: means nothing for a table ({output.partition('?')[0]}): leave it out")
