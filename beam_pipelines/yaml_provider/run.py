"""A run of a YAML pipeline: its id, and its end, which finds by itself what has to be accounted for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import apache_beam as beam

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.inputs import list_inputs
from beam_pipelines.sink.finalize import FinalizeRun
from beam_pipelines.sink.runs import RunIdentity, fingerprint, inputs_summary, new_run_id
from beam_pipelines.yaml_provider.known import Known, known_of, lineage

PIPELINE = "beam_yaml"

_RUN_ID = "_beam_pipelines_run_id"
_PLACES = ("output", "run_id", "key", "max_dead_letter_rate", "path", "error_handling")
"""Configuration that says where, or whether at all, not what."""


def run_id_of(pipeline: beam.Pipeline) -> str:
    """The id of a pipeline's run, where its file names none: new, and one for all of its sinks."""
    if not hasattr(pipeline, _RUN_ID):
        setattr(pipeline, _RUN_ID, new_run_id(datetime.now(timezone.utc)))
    return str(getattr(pipeline, _RUN_ID))


def identity_of(run_id: str, pipeline: str | None) -> RunIdentity:
    """As much of a run as its sinks have to know."""
    return RunIdentity(run_id, pipeline or PIPELINE, "")


def finalize(inputs: Any, given: dict[str, Any]) -> beam.PCollection[str]:
    """Apply FinalizeRun to written files; the ledgers are those of all stages that they came from."""
    collections = list(inputs.values()) if isinstance(inputs, Mapping) else [inputs]
    if any(_holds(each, "manifest") for each in collections):
        raise UsageError("FinalizeRun: WriteToTable commits by itself: leave its output out of the inputs")
    files = [each for each in collections if _holds(each, "files")]
    if not files and not any(_holds(each, "ledger") for each in collections):
        raise UsageError("FinalizeRun takes what WriteToLake, WriteDeadLetters and sinks of queues yield")
    run_id = _run_of(files, collections[0].pipeline, given.pop("run_id", None))
    ledgers: dict[int, beam.PCollection[Any]] = {}
    for collection in lineage(collections, tables=False):
        known = known_of(collection)
        if known is not None and known.ledger is not None:
            ledgers[id(known.ledger)] = known.ledger
    run = _described(collections, run_id, given.pop("pipeline", PIPELINE))
    rate = given.get("max_dead_letter_rate")
    finalizing = FinalizeRun(given["output"], run, max_dead_letter_rate=rate)
    return (files, list(ledgers.values())) | "Finalize" >> finalizing


def _run_of(files: list[beam.PCollection[Any]], pipeline: beam.Pipeline, said: str | None) -> str:
    """The run that all files are of."""
    made_as = run_id_of(pipeline)
    found = [known_of(file) for file in lineage(files, tables=False)]
    runs = {known.run_id or made_as for known in found if known is not None and known.holds == "files"}
    if said is not None:
        runs.add(said)
    if len(runs) > 1:
        raise UsageError(
            f"run_id: the files are of different runs, {', '.join(sorted(runs))}: say the same run_id in all sinks, "
            "or in none"
        )
    return runs.pop() if runs else made_as


def _holds(collection: Any, what: str) -> bool:
    known = known_of(collection)
    return known is not None and known.holds == what


def _described(collections: list[beam.PCollection[Any]], run_id: str, pipeline: str) -> RunIdentity:
    """The run, as its whole graph tells it; inputs are listed here, so UsageError if there are none."""
    patterns: list[str] = []
    contracts: dict[str, Any] = {}
    steps: set[str] = set()
    main: Known | None = None
    for collection in lineage(collections, tables=True):
        known = known_of(collection)
        if known is not None:
            patterns += [pattern for pattern in known.patterns if pattern not in patterns]
            if known.contract is not None:
                contracts[known.contract.fingerprint] = known.contract
                main = main or known
        steps |= set(_steps(collection))
    inputs = list_inputs(sorted(patterns)) if patterns else []
    contract = None if main is None else main.contract
    told: dict[str, object] = {}
    if contract is not None:
        told = {
            "name": contract.name,
            "version": contract.version,
            "fingerprint": contract.fingerprint,
            "event_time": None if contract.event_time is None else contract.event_time.name,
            "sensitive": [field.name for field in contract.fields if field.sensitive],
        }
    return RunIdentity(
        run_id=run_id,
        pipeline=pipeline,
        fingerprint=fingerprint({"steps": sorted(steps)}, inputs, " ".join(sorted(contracts))),
        started=datetime.now(timezone.utc),
        inputs=inputs_summary(inputs),
        contract=told,
    )


def _steps(collection: beam.PCollection[Any]) -> list[str]:
    """The YAML steps that a PCollection was made in, with their configuration; Beam keeps them as annotations."""
    found = []
    applied = collection.producer
    while applied is not None:
        said = applied.transform.annotations() if applied.transform is not None else {}
        if "yaml_type" in said:
            found.append(f"{said['yaml_type']} {_without_places(said.get('yaml_args', '{}'))}")
        applied = applied.parent
    return found


def _without_places(text: str) -> str:
    config = json.loads(text)
    return json.dumps({key: value for key, value in config.items() if key not in _PLACES}, sort_keys=True)
