"""What a worker tells of itself: versions, and whether it can import what pipelines need.

Workers share no file system with whoever asks, so the answer is the *name* of a counter: counters come back by
`result.metrics()` on every runner that has any.

This module imports nothing of this package: a job can carry it by value to a worker that hasn't got us.
"""

from __future__ import annotations

import importlib
import json
import platform
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

NAMESPACE = "doctor"
"""Of all counters of the doctor."""

_PREFIX = "worker "
_VERSIONED = ("apache_beam", "pyarrow", "beam_pipelines")
_LONGEST_ERROR = 200  # characters of an error that go into the name of a counter

Facts = dict[str, str]
"""`host`, `python`, a version or what went wrong for each of `apache_beam`, `pyarrow`, `beam_pipelines`, and
`imports`: empty, or the first module that can't be imported and why."""


def facts(modules: Iterable[str]) -> Facts:
    """Look at the process that this is called in; `modules` are those that a worker must be able to import."""
    found = {"host": socket.gethostname(), "python": platform.python_version()}
    found |= {name: _version(name) for name in _VERSIONED}
    found["imports"] = next(filter(None, map(_missing, modules)), "")
    return found


def _version(name: str) -> str:
    try:
        return str(importlib.import_module(name).__version__)
    except Exception as error:
        return _wrong(error)


def _missing(name: str) -> str:
    try:
        importlib.import_module(name)
    except Exception as error:
        return f"{name}: {_wrong(error)}"
    return ""


def _wrong(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]


def told(counters: Mapping[str, int]) -> list[Facts]:
    """The facts among the names of counters, sorted by host.

    >>> told({'worker {"host": "a", "python": "3.11.2"}': 7, "judged shuffle": 1})
    [{'host': 'a', 'python': '3.11.2'}]
    """
    names = (name.removeprefix(_PREFIX) for name in counters if name.startswith(_PREFIX))
    return sorted((json.loads(name) for name in names), key=lambda each: each["host"])


class TellOfWorker(beam.DoFn):
    """Counts once for each element under a name that tells of the worker; yields nothing."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = tuple(modules)
        self._name = ""

    def process(self, element: Any) -> Iterator[Any]:  # noqa: ARG002  only that there is one counts
        if not self._name:
            self._name = f"{_PREFIX}{json.dumps(facts(self._modules))}"
        beam.metrics.Metrics.counter(NAMESPACE, self._name).inc()
        yield from ()
