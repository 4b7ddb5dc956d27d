"""`list`: the pipelines there are."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.describe import list_pipelines
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM
from beam_pipelines.pipelines import entries


def main(argv: Sequence[str]) -> int:
    """Print a line for each pipeline."""
    Parser(prog=f"{PROGRAM} list", description="List the pipelines.").parse_args(argv)
    print(list_pipelines(entries()))
    return ExitCode.OK
