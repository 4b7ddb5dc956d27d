"""What a file of this folder says of its runner."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple


class Chosen(NamedTuple):
    """What chooses a runner: options, and environment variables of the process that submits."""

    flags: list[str]
    variables: Mapping[str, str] = MappingProxyType({})


Start = Callable[[Path], AbstractContextManager[Chosen]]
"""Starts what the runner needs, in a folder of its own, yields what chooses it, and stops it."""


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
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What the docs have to say of a case that works, by its name."""
    job_seconds: int = 300
    """Hard limit of one job, on a machine that is busy with other tests."""


def options(*flags: str) -> Start:
    """A runner that needs nothing but its options."""

    @contextmanager
    def start(folder: Path) -> Iterator[Chosen]:
        yield Chosen(list(flags))

    return start
