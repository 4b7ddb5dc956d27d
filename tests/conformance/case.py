"""What a case of the suite is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam

Outputs = dict[str, beam.PCollection[Any]]


@dataclasses.dataclass(frozen=True)
class Case:
    """What is applied to a pipeline, and what must be found in the folder afterwards."""

    name: str
    proves: tuple[str, ...]
    """The public transforms that it shows to work."""
    build: Callable[[beam.Pipeline, Path], Outputs]
    expected: Callable[[Path], dict[str, list[str]]]
    found: Callable[[Path], dict[str, list[str]]] | None = None
    """What is in the folder, if not what was kept of the outputs."""
    streaming: bool = False
    """A stream: a job of its own, with `--streaming`."""
    about: str = ""
    """What of it the case is about, where several cases are about the same transforms."""
    needs: str | None = None
    """What of `tests.runners.OPT_OUTS` it needs, if that may be left out."""
