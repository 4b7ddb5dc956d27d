"""`dead-letters cat`: refused rows as JSON Lines on standard output."""

from __future__ import annotations

import sys

from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.sink import read_dead_letters, to_json_lines


def cat(output: str, run_id: str | None) -> ExitCode:
    """Print the dead letters of committed runs. UsageError when there is no such output or run."""
    for letters in read_dead_letters(output, run_id):
        sys.stdout.buffer.write(to_json_lines(letters))
    sys.stdout.flush()
    return ExitCode.OK
