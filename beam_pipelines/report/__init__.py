"""The report of a run: one self-contained page, made from what the run left in its lake."""

from __future__ import annotations

import json

from beam_pipelines.report import facts
from beam_pipelines.report.page import render
from beam_pipelines.sink import runs, storage

PAGE = "report.html"


def html(output: str, run_id: str | None = None) -> str:
    """Return the page of a committed run, by default the last. UsageError when there is none."""
    return render(facts.load(output, run_id))


def write(output: str, run_id: str | None = None) -> str:
    """Write the page beside the run's manifest and return its path; an older one is replaced."""
    run = facts.load(output, run_id)
    path = f"{runs.run_folder(output, run.run_id)}/{PAGE}"
    storage.write(path, render(run).encode(), runs.run_folder(output, run.run_id))
    return path


def note_launch(output: str, run_id: str, engine: str, seconds: float) -> None:
    """Keep what only the launcher of a run knows: the engine that really ran, and the seconds it took."""
    told = json.dumps({"engine": engine, "seconds": round(seconds, 3)}, indent=2).encode() + b"\n"
    folder = runs.run_folder(output, run_id)
    storage.write(f"{folder}/{facts.LAUNCH}", told, folder)
