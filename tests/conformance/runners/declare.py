"""What a file of this folder says of its runner."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

Start = Callable[[Path], AbstractContextManager[list[str]]]
"""Starts what the runner needs, in a folder of its own, yields the options that choose it, and stops it."""


@dataclasses.dataclass(frozen=True)
class Cannot:
    """What a runner can't do: the error it ends with, as a regular expression, and why, for the docs."""

    error: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Runner:
    """A runner, how to have it, and what it can't do; whatever isn't in `cannot` must work."""

    name: str
    title: str
    start: Start
    needs: str | None = None
    """Its name in `tests.runners.OPT_OUTS`, if it may be left out on a machine that can't have it."""
    cannot: Mapping[str, Cannot] = dataclasses.field(default_factory=dict)
    """By the name of a case."""
    job_seconds: int = 300
    """Hard limit of one job, on a machine that is busy with other tests."""


def options(*flags: str) -> Start:
    """A runner that needs nothing but its options."""

    @contextmanager
    def start(folder: Path) -> Iterator[list[str]]:
        yield list(flags)

    return start
