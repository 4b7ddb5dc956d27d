"""A scenario played to its pipeline, and what the run left in its lake."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from beam_pipelines import options, pipelines
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.streams.read_script import Through
from beam_pipelines.ingest.streams.script import script_text
from beam_pipelines.parity import lakes, streams
from beam_pipelines.parity.lakes import Side
from beam_pipelines.scenarios.scenario import PARTS, Scenario

EXACT_RUNNER = "BundleBasedDirectRunner"
"""The runner whose TestStream tells exact panes: what Beam's DirectRunner is under a TestStream."""

RUN_ID = "scenario"


@dataclasses.dataclass(frozen=True)
class Came:
    """What came of a scenario: the rows of each part, and the manifest of the run."""

    parts: Mapping[str, pa.Table]
    manifest: Mapping[str, Any]

    @property
    def has_aggregates(self) -> bool:
        """Whether the pipeline aggregated by options, so that its rows can be aggregated again."""
        return bool(self.manifest["options"].get("aggregate"))

    @property
    def final_aggregates(self) -> pa.Table:
        """The aggregates as far as panes tell them, with late rows aggregated anew."""
        panes, rows, late = (self.parts[part] for part in ("aggregates", "rows", "late"))
        return streams.final_aggregates(panes, rows, late, dict(self.manifest))

    @property
    def aggregates_of_rows(self) -> pa.Table:
        """The aggregates of all rows, as a batch would have them."""
        return streams.aggregated_anew(self.parts["rows"], dict(self.manifest), self.parts["aggregates"].schema)


def play(scenario: Scenario, flags: Sequence[str], folder: Path, through: Through | None = None) -> Came:
    """Run the scenario's pipeline on its stream, and read what it left below `folder`.

    If `through` doesn't say, it is played by TestStream without a runner in `flags`, else by a source. UsageError, with
    the scenario's place, for options that are wrong; what makes the run fail is raised as it is.
    """
    through = through or ("source" if runner_of(flags) else "test_stream")
    script, lake = folder / "stream.jsonl", folder / "lake"
    folder.mkdir(parents=True, exist_ok=True)
    script.write_text(script_text(scenario.steps), encoding="utf-8")
    run_source(scenario, f"scripted://{script}?through={through}&format={scenario.format}", flags, lake)
    return left_in(lake)


def run_source(scenario: Scenario, source: str, flags: Sequence[str], lake: Path) -> None:
    """Run the scenario's pipeline on a source, into a lake."""
    entry = pipelines.find(scenario.pipeline)
    given = {**scenario.options, "input": [source], "output": str(lake)}
    if any(spec.name == "run_id" for spec in options.specs(entry.options)):
        given["run_id"] = RUN_ID
    try:
        parsed = options.parse(entry.options, given, source=entry.name)
        beam_options = PipelineOptions([*flags, *(() if runner_of(flags) else (f"--runner={EXACT_RUNNER}",))])
        beam_options.view_as(StandardOptions).streaming = True
        pipeline = beam.Pipeline(options=beam_options)
        entry.load_build().build(pipeline, parsed)
    except UsageError as wrong:
        raise UsageError(f"{scenario.place}: {wrong}") from wrong
    pipeline.run().wait_until_finish()


def left_in(lake: Path) -> Came:
    """Read what a run left behind."""
    side = Side(str(lake), RUN_ID)
    parts = {
        part: lakes.dead_letters_of(side) if part == "dead_letters" else lakes.files_of(side, part) for part in PARTS
    }
    return Came(parts, lakes.manifest_of(side))


def runner_of(flags: Sequence[str]) -> str | None:
    """The runner that flags name, None if they leave it to us."""
    runner: str | None = PipelineOptions(list(flags)).view_as(StandardOptions).runner
    return runner
