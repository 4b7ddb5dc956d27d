"""`lake files`: the files that hold a lake's rows now."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print a line for each file. UsageError when there is no lake, or no such folder."""
    parser = Parser(
        prog=f"{PROGRAM} lake files",
        description="List the files of one folder of a lake that readers read: those of committed runs, and what\n"
        "streams have published so far, each row in one of them. Who finds a file gone asks again.",
    )
    parser.add_argument("output", metavar="OUTPUT", help="The --output of the runs.")
    parser.add_argument("--folder", default="rows", metavar="NAME", help="rows, aggregates, late, … Default: rows.")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each, with its run, rows and bytes")
    asked: argparse.Namespace = parser.parse_args(argv)
    from beam_pipelines.sink import commit, runs
    from beam_pipelines.sink.care.inventory import live_files, published

    if asked.folder not in runs.FOLDERS:
        raise UsageError(f"--folder: a lake has no '{asked.folder}'.{did_you_mean(asked.folder, runs.FOLDERS)}")
    for file in sorted(live_files(published(asked.output)), key=lambda each: each.path):
        if file.folder == asked.folder:
            told = file._replace(path=commit.absolute(asked.output, file.path))
            print(json.dumps(told._asdict()) if asked.json else told.path)
    return ExitCode.OK
