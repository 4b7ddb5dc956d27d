"""Rows that are only counted → a run with a balance and a manifest, but no files."""

from __future__ import annotations

import dataclasses

from beam_pipelines.options import option


@dataclasses.dataclass(frozen=True)
class TallyOptions:
    """What `tally` can be told."""

    output: str = option("Lake.", metavar="FOLDER")
    run_id: str | None = option("Name of the run.", default=None)
    read: int = option("Rows read.", default=10)
    duplicate: int = option("Rows that were duplicates.", default=10)


OPTIONS = TallyOptions
