"""The main program of a flex template: what Google's launcher starts in the image.

It gets parameters and Beam's options as flags. With `--template_location` Beam writes the job to that place and the
launcher submits it; without, the job is submitted from here. Either way the program ends when that is done: a launcher
gives up on one that waits for its job, and the run's own last step checks its balance.
"""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch import cli
from beam_pipelines.launch.arguments import pipeline_parser
from beam_pipelines.options import specs
from beam_pipelines.pipelines import find


def main(pipeline: str, argv: Sequence[str]) -> int:
    """Build and hand over a pipeline; returns the exit code of `run`.

    The pipeline's own options are checked as everywhere. What isn't one of them goes to Beam unchecked, since a
    launcher may have options that this version of Beam doesn't know.
    """
    entry = find(pipeline)
    known, rest = pipeline_parser(entry, "").parse_known_args(list(argv))
    given = {spec.flag: getattr(known, spec.name, []) for spec in specs(entry.options)}
    ours = [
        f"{flag}={text}" for flag, value in given.items() for text in (value if isinstance(value, list) else [value])
    ]
    return cli.main(["run", pipeline, *ours, "--no_wait_until_finish", "--", *entry.beam_flags, *rest])
