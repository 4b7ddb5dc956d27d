"""`describe PIPELINE`: what a pipeline does, and its options."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.describe import describe, describe_json
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM
from beam_pipelines.pipelines import find


def main(argv: Sequence[str]) -> int:
    """Print the pipeline's description and options as text or JSON."""
    parser = Parser(prog=f"{PROGRAM} describe", description="Describe a pipeline and its options.")
    parser.add_argument("pipeline", metavar="PIPELINE")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="Default: text.")
    asked = parser.parse_args(argv)
    show = describe_json if asked.format == "json" else describe
    print(show(find(asked.pipeline)))
    return ExitCode.OK
