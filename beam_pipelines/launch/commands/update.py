"""`update PIPELINE`: a running stream replaced by a new version of itself."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch.dataflow import words
from beam_pipelines.launch.dataflow.settings import UpdateOptions
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM
from beam_pipelines.pipelines import find


def main(argv: Sequence[str]) -> int:
    """Check that the new graph fits the running one, launch it in its place, and wait until it runs."""
    parser = words.parser(
        f"{PROGRAM} update",
        "PIPELINE",
        "Replace a running stream by a new version of itself, whose state it takes over. Steps, coders and state of "
        "the\ntwo graphs are compared here first.",
        UpdateOptions,
        EPILOG,
    )
    words.add_launching(parser)
    asked = words.read(parser, argv, UpdateOptions, "update")
    entry = find(asked.subject)
    from beam_pipelines.launch import quiet

    with quiet.beams_log(asked.flags.verbose):
        from beam_pipelines.launch.dataflow import launching

        return launching.update(entry, asked)
