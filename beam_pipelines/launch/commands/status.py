"""`status JOB`: what has become of a job."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch.dataflow import words
from beam_pipelines.launch.dataflow.settings import ServiceOptions
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print a job's state, warnings and errors; the exit code is 3 when it failed or was cancelled."""
    parser = words.parser(
        f"{PROGRAM} status", "JOB", "What has become of a job: its id, or its name.", ServiceOptions, EPILOG
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="Default: text.")
    asked = words.read(parser, argv, ServiceOptions, "status")
    from beam_pipelines.launch.dataflow import jobs

    return jobs.status(asked)
