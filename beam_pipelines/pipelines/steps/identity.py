"""The run's name and what it does, known before it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from beam_pipelines.contract import Contract
from beam_pipelines.ingest.inputs import InputFile, list_inputs
from beam_pipelines.pipelines.option_groups.reading import ReadingOptions
from beam_pipelines.pipelines.option_groups.writing import WritingOptions
from beam_pipelines.pipelines.steps.sources import list_sources
from beam_pipelines.sink.runs import RunIdentity, check_output, fingerprint, inputs_summary, new_run_id

PLACES = frozenset(
    {
        "run_id",
        "output",
        "dead_letter_output",
        "dead_letter_topic",
        "mask_key_file",
        "max_dead_letter_rate",
        "changed_files",
        "compact_every",
        "max_files",
    }
)
"""Options that say where, or whether at all, not what: two runs that differ in them alone do the same."""


def identify_run(
    pipeline: str,
    reading: ReadingOptions,
    writing: WritingOptions,
    contract: Contract,
    tables: Sequence[str] = (),
    files: Sequence[InputFile] | None = None,
) -> RunIdentity:
    """Name the run and look at its surroundings: what it reads, and whether it can write.

    `tables` are files in which rows are looked up; `files` those that are read, if not all of the input.
    UsageError when there is nothing to read or the output can't be written.
    """
    inputs = list_sources(reading.input) if files is None else list(files)
    looked_up = list_inputs(tables, "--join or --references") if tables else []
    check_output(writing.output, writing.dead_letter_output)
    told: dict[str, Any] = dataclasses.asdict(reading) | dataclasses.asdict(writing)
    meaning = {name: value for name, value in told.items() if name not in PLACES and name != "contract"}
    now = datetime.now(timezone.utc)
    return RunIdentity(
        run_id=writing.run_id or new_run_id(now),
        pipeline=pipeline,
        fingerprint=fingerprint(meaning, [*inputs, *looked_up], contract.fingerprint),
        started=now,
        options=told,
        inputs=inputs_summary(inputs),
        contract={
            "name": contract.name,
            "version": contract.version,
            "fingerprint": contract.fingerprint,
            "event_time": None if contract.event_time is None else contract.event_time.name,
            "sensitive": [field.name for field in contract.fields if field.sensitive],
        },
    )
