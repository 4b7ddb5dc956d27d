"""Whether what a run will write fits what is in the lake already."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from beam_pipelines.contract import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.sink import runs

COLUMNS = "columns"
"""Key in a manifest's `contract`: the type of each column that the run wrote, by name."""


def told(schema: pa.Schema, partition_by: tuple[str, ...], format: str) -> dict[str, Any]:
    """What a manifest says of the rows' shape."""
    types = {field.name: str(field.type) for field in schema}
    return {COLUMNS: types, "partition_by": list(partition_by), "format": format}


def check_evolution(output: str, shape: dict[str, Any], contract: Contract, run_id: str | None) -> None:
    """UsageError when readers of the lake couldn't read old and new files together.

    A column may come, and is null in older files, or go, and is null in newer ones; under `onSchemaChange:
    freeze` neither. A column's type, the partition columns and the file format stay for as long as the lake
    is there.
    """
    before = _last_shape(output, run_id)
    if before is None:
        return
    run, old = before
    for name, what in (("partition_by", "partition columns"), ("format", "file format")):
        if old[name] != shape[name]:
            raise UsageError(
                f"--output: the lake's {what} can't change: run '{run}' wrote {_words(old[name])}, "
                f"this one would write {_words(shape[name])}. Write to another lake"
            )
    for column, kind in old[COLUMNS].items():
        new = shape[COLUMNS].get(column)
        if new not in (None, kind):
            raise UsageError(
                f"--contract: the column '{column}' is {kind} in the lake (run '{run}') and would be {new}: "
                "readers can't read both. Give the field another name, or write to another lake"
            )
    differing = sorted(old[COLUMNS].keys() ^ shape[COLUMNS].keys())
    if differing and contract.on_schema_change == "freeze":
        raise UsageError(
            f"--contract: it says onSchemaChange: freeze, and the column '{differing[0]}' is "
            + (f"not in the lake yet (run '{run}')" if differing[0] in shape[COLUMNS] else f"in the lake (run '{run}')")
            + ": change the policy, or write to another lake"
        )


def _last_shape(output: str, run_id: str | None) -> tuple[str, dict[str, Any]] | None:
    manifests = [runs.committed_manifest(output, each) for each in runs.committed_runs(output) if each != run_id]
    shaped = [each for each in manifests if each and COLUMNS in each["contract"]]
    if not shaped:
        return None
    last = max(shaped, key=lambda each: str(each["created"]))
    return last["run_id"], last["contract"]


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(value) or "none"
