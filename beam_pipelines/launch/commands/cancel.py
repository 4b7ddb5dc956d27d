"""`cancel JOB`: stop a job at once."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch.dataflow import words
from beam_pipelines.launch.dataflow.settings import ServiceOptions
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM


def main(argv: Sequence[str]) -> int:
    """Ask for it, and wait until it is so."""
    parser = words.parser(
        f"{PROGRAM} cancel",
        "JOB",
        "Stop a job at once: what it had read is lost, and nothing of it is committed.",
        ServiceOptions,
        EPILOG,
    )
    parser.add_argument("--no_wait", action="store_true", help="Ask for it, and don't wait.")
    asked = words.read(parser, argv, ServiceOptions, "cancel")
    from beam_pipelines.launch.dataflow import jobs
    from beam_pipelines.launch.dataflow.service import State

    return jobs.stop(asked, State.JOB_STATE_CANCELLED)
