"""Where rows end: files of a lake that a run publishes once, all together or not at all.

Names are imported when they are first used, so that the command line can look at runs without Beam.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_pipelines.sink.commit import withdraw
    from beam_pipelines.sink.dead_letter_files import read_dead_letters, to_json_lines
    from beam_pipelines.sink.finalize import FinalizeRun
    from beam_pipelines.sink.lake import WriteDeadLetters, WriteToLake, WrittenRecord
    from beam_pipelines.sink.runs import (
        BalanceError,
        OutputError,
        RunConflictError,
        RunIdentity,
        check_output,
        committed_manifest,
        committed_runs,
        fingerprint,
        inputs_summary,
        new_run_id,
        settled,
    )

_HOMES = {
    "commit": ("withdraw",),
    "dead_letter_files": ("read_dead_letters", "to_json_lines"),
    "finalize": ("FinalizeRun",),
    "lake": ("WriteDeadLetters", "WriteToLake", "WrittenRecord"),
    "runs": (
        "BalanceError",
        "OutputError",
        "RunConflictError",
        "RunIdentity",
        "check_output",
        "committed_manifest",
        "committed_runs",
        "fingerprint",
        "inputs_summary",
        "new_run_id",
        "settled",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BalanceError",
    "FinalizeRun",
    "OutputError",
    "RunConflictError",
    "RunIdentity",
    "WriteDeadLetters",
    "WriteToLake",
    "WrittenRecord",
    "check_output",
    "committed_manifest",
    "committed_runs",
    "fingerprint",
    "inputs_summary",
    "new_run_id",
    "read_dead_letters",
    "settled",
    "to_json_lines",
    "withdraw",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
