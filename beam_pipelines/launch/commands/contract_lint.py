"""`contract lint`: everything wrong with contract files, each finding with its line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from beam_pipelines.contract import lint_contract
from beam_pipelines.errors import UsageError
from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import PROGRAM


def main(argv: Sequence[str]) -> int:
    """Print the findings of each file as `FILE: line N: …`. Errors make the command fail, warnings don't."""
    parser = Parser(
        prog=f"{PROGRAM} contract lint",
        description="Check Open Data Contract Standard files: all that is wrong, with its line.",
    )
    parser.add_argument("file", metavar="FILE", nargs="+")
    wrong = False
    for file in parser.parse_args(argv).file:
        try:
            findings = lint_contract(file)
        except UsageError as unreadable:
            print(f"{PROGRAM}: {unreadable}", file=sys.stderr)
            wrong = True
            continue
        for finding in findings:
            print(f"{file}: {'' if finding.severity == 'error' else 'warning: '}{finding}")
            wrong = wrong or finding.severity == "error"
        if not findings:
            print(f"{file}: ok")
    return ExitCode.USAGE if wrong else ExitCode.OK
