"""`dead-letters cat`: refused rows as JSON Lines on standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print the dead letters of committed runs. UsageError when there is no such output or run."""
    parser = Parser(
        prog=f"{PROGRAM} dead-letters cat",
        description="Print dead letters as JSON Lines. They hold raw payloads: as sensitive as the input.",
    )
    parser.add_argument("output", metavar="OUTPUT", help="The --output (or --dead_letter_output) of the runs.")
    parser.add_argument("--run_id", metavar="ID", help="Only those of this run.")
    asked = parser.parse_args(argv)
    from beam_pipelines.sink.dead_letter_files import read_named_letters, to_json_lines

    for names, letters in read_named_letters(asked.output, asked.run_id):
        sys.stdout.buffer.write(to_json_lines(letters, names))
    sys.stdout.flush()
    return ExitCode.OK
