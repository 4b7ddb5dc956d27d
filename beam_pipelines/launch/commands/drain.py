"""`drain JOB`: let a stream finish what it has read, and end."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch.dataflow import words
from beam_pipelines.launch.dataflow.settings import ServiceOptions
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM


def main(argv: Sequence[str]) -> int:
    """Ask for it, and wait until it is so."""
    parser = words.parser(
        f"{PROGRAM} drain",
        "JOB",
        "Stop a stream: it reads no more, finishes what is under way, and ends.",
        ServiceOptions,
        EPILOG,
    )
    parser.add_argument("--no_wait", action="store_true", help="Ask for it, and don't wait.")
    asked = words.read(parser, argv, ServiceOptions, "drain")
    from beam_pipelines.launch.dataflow import jobs
    from beam_pipelines.launch.dataflow.service import State

    return jobs.stop(asked, State.JOB_STATE_DRAINED)
