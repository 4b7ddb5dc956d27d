"""What a scenario says, read from its file."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from beam_pipelines.ingest.streams.script import Step

PARTS = ("rows", "aggregates", "late", "dead_letters")
"""What can be expected of a run: the folders of its lake."""

Value = Any
"""A value of YAML: text, number, boolean, null, or a list or mapping of them."""

ExpectedRow = Mapping[str, Value]


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A pipeline with its options, the steps of a stream, and what is expected.

    `expected` holds only the parts that are to be compared. `defect` says why a scenario is known to fail.
    """

    name: str
    file: str
    line: int
    pipeline: str
    options: Mapping[str, Any]
    steps: tuple[Step, ...]
    expected: Mapping[str, tuple[ExpectedRow, ...]]
    day: datetime.date | None = None
    format: str = "jsonl"
    defect: str | None = None

    @property
    def place(self) -> str:
        """Where it is written, for messages."""
        return f"{self.file}:{self.line}"
