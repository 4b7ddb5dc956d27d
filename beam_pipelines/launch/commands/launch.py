"""`launch PIPELINE`: a flex template, checked here first, on Dataflow."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch.dataflow import words
from beam_pipelines.launch.dataflow.settings import LaunchOptions
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM
from beam_pipelines.pipelines import find


def main(argv: Sequence[str]) -> int:
    """Launch, and follow the job to its end; a stream, until it runs."""
    parser = words.parser(
        f"{PROGRAM} launch",
        "PIPELINE",
        "Launch a pipeline's flex template on Dataflow. Every parameter is checked here first, by the pipeline's own\n"
        "rules; then the job is followed to its end, or as a stream until it runs.",
        LaunchOptions,
        EPILOG,
    )
    words.add_launching(parser)
    asked = words.read(parser, argv, LaunchOptions, "launch")
    entry = find(asked.subject)
    from beam_pipelines.launch import quiet

    with quiet.beams_log(asked.flags.verbose):
        from beam_pipelines.launch.dataflow import launching

        return launching.launch(entry, asked)
