"""The pipelines: each a module with its options, and a `build` module beside it with its graph.

A pipeline module holds

* a docstring, whose first line says what the pipeline does;
* `OPTIONS`, a frozen dataclass whose fields are made by `beam_pipelines.options.option`;
* if it runs as a stream, `MODES`, in what ways it runs: some of `batch`, `exactly_once` and `at_least_once`;
* a module `build` with `build(pipeline, options)`, which wires the graph, and, if a run of it can be
  checked and named beforehand, `identify(options) -> RunIdentity`, which raises UsageError for
  whatever can be found wrong without running.

The module is imported to show help, so it must not import Beam; `build` may.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
from typing import Any

from beam_pipelines.errors import UsageError, did_you_mean

PIPELINES: dict[str, str] = {
    "event_analytics": "beam_pipelines.pipelines.event_analytics",
    "files_to_lake": "beam_pipelines.pipelines.files_to_lake",
}
"""Name → module of the pipelines that come with the package."""


@dataclasses.dataclass(frozen=True)
class PipelineEntry:
    """A pipeline by name; its modules are imported when they are asked for."""

    name: str
    module: str

    @property
    def options(self) -> type[Any]:
        """The dataclass of its options. Doesn't import Beam."""
        return self._load().OPTIONS

    @property
    def modes(self) -> tuple[str, ...]:
        """In what ways it runs: `batch`, and as a stream `exactly_once` or `at_least_once`; the usual one first."""
        return tuple(getattr(self._load(), "MODES", ("batch",)))

    @property
    def beam_flags(self) -> list[str]:
        """What Beam has to be told of it. That a stream is one Beam finds out too late for some of its overrides."""
        return [] if "batch" in self.modes else ["--streaming"]

    @property
    def description(self) -> str:
        """The module's docstring."""
        return (self._load().__doc__ or "").strip()

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.description.partition("\n")[0]

    def load_build(self) -> types.ModuleType:
        """The module with `build` and perhaps `identify`. Imports Beam."""
        return importlib.import_module(f"{self.module}.build")

    def _load(self) -> types.ModuleType:
        return importlib.import_module(self.module)


def entries() -> list[PipelineEntry]:
    """The pipelines that come with the package, by name."""
    return [PipelineEntry(name, PIPELINES[name]) for name in sorted(PIPELINES)]


def find(name: str) -> PipelineEntry:
    """Find a pipeline by its name, or by the dotted path of a module of your own.

    Raises UsageError when there is none.

    >>> find("event_analytics").module
    'beam_pipelines.pipelines.event_analytics'
    """
    if name in PIPELINES:
        return PipelineEntry(name, PIPELINES[name])
    if "." not in name:
        raise UsageError(f"there is no pipeline '{name}'.{did_you_mean(name, PIPELINES)}")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        raise UsageError(f"the pipeline module {name} can't be imported: {missing}") from missing
    if not hasattr(module, "OPTIONS"):
        raise UsageError(f"the module {name} is not a pipeline: it has no OPTIONS")
    return PipelineEntry(name.rpartition(".")[2], name)
